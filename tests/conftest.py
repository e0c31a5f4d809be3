import jaxtyping
import pytest


@pytest.fixture
def as_user():
    """Switch the test-time shape checker off, so that the package's own checks speak."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
