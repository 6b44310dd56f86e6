"""Every study under `neuropil.testing.check_study`, which users run on theirs."""

import pytest

from neuropil.atlas.catalogue import own_rows, study_path
from neuropil.testing import check_study

SLUGS = [row.slug for row in own_rows() if study_path(row.slug)]


@pytest.mark.parametrize("slug", SLUGS)
def test_it_is_sound(slug):
    check_study(slug)
