"""Our clustering is pyannote's, where there are no more points than may be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.engines.bounded_clustering import Rules, Wanted, cluster
from tests.unit.serving.test_bounded_clustering import voices

pytestmark = pytest.mark.models


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    spread=st.floats(0.2, 1.5),
    threshold=st.floats(0.3, 1.2),
    number=st.none() | st.integers(1, 5),
    low=st.integers(1, 3),
    more=st.integers(0, 5),
    seed=st.integers(0, 1000),
)
def test_the_clusters_are_those_of_pyannote(sizes, spread, threshold, number, low, more, seed):
    from pyannote.audio.pipelines.clustering import AgglomerativeClustering

    vectors, _ = voices(sizes, spread, seed)
    theirs = AgglomerativeClustering(metric="cosine").instantiate(
        {"method": "centroid", "threshold": threshold, "min_cluster_size": 12}
    )
    wanted = Wanted(*theirs.set_num_clusters(len(vectors), number, low, low + more))
    expected = theirs.cluster(vectors.copy(), wanted.minimum, wanted.maximum, wanted.number)
    found = cluster(vectors, Rules(threshold, 12, "centroid"), wanted, len(vectors))
    np.testing.assert_array_equal(found, expected)
