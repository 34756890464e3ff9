"""Where it runs: settings, logs, embedded servers, Ray and Serve. Imports no other floor."""
