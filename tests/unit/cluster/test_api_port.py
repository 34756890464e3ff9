"""A port that `--port 0` asks for is one that no other part can be given."""

from cluster.embedded.state import API_PORTS, SERVICE_PORTS
from cluster.embedded.supervisor import with_port
from cluster.settings import ApiSettings


def test_any_port_is_kept_and_none_of_the_other_parts(tmp_path):
    api = ApiSettings(port=0)

    port = with_port(api, tmp_path).port

    assert port in API_PORTS
    assert not set(API_PORTS) & set(SERVICE_PORTS)
    assert with_port(api, tmp_path).port == port


def test_a_port_that_was_named_stays(tmp_path):
    assert with_port(ApiSettings(port=5174), tmp_path).port == 5174
