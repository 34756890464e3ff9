"""Language models of providers: adapters of the port `LanguageModel`, one for each protocol."""
