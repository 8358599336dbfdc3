"""Names of arrays are whatever an archive holds, and messages about them are one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice import InputError
from suffice.data import load_samples


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=8))
def test_an_archive_with_arrays_of_any_name_is_refused_in_one_line(tmp_path_factory, name):
    file = tmp_path_factory.mktemp("arrays") / "t.npz"
    np.savez(file, **{f"{name}?": np.zeros((4, 3, 3)), "other": np.zeros(4)})
    with pytest.raises(InputError) as refused:
        load_samples(str(file))
    assert len(str(refused.value).splitlines()) == 1
