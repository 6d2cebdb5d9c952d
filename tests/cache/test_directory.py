import pytest

from cache.directory import AmbiguousEnterprise, Directory
from gateway.ports import EnterpriseConfig

JUNE = EnterpriseConfig(number="0367", name="june", token="375290000900", secret="s3cret")
MAY = EnterpriseConfig(number="0368", name="may", token="375290000901")


@pytest.mark.parametrize("key", ["0367", "375290000900", "s3cret", "june"])
def test_an_enterprise_answers_to_each_of_its_keys(key: str) -> None:
    assert Directory([JUNE, MAY]).resolve(key) is JUNE


@pytest.mark.parametrize("key", ["", "0900", "367", "JUNE", "37529000090"])
def test_nothing_else_is_a_key(key: str) -> None:
    assert Directory([JUNE, MAY]).resolve(key) is None


def test_a_name_of_two_is_an_error_that_names_both_and_not_the_key() -> None:
    directory = Directory([JUNE, EnterpriseConfig(number="0369", name="june", token="x")])
    with pytest.raises(AmbiguousEnterprise, match=r"^more than one enterprise has this name: 0367, 0369$"):
        directory.resolve("june")
    assert directory.resolve("0369") is not None


def test_a_secret_of_two_is_an_error_that_does_not_show_it() -> None:
    directory = Directory([JUNE, EnterpriseConfig(number="0369", token="x", secret="s3cret")])
    with pytest.raises(AmbiguousEnterprise) as caught:
        directory.resolve("s3cret")
    assert "s3cret" not in str(caught.value)


def test_the_surer_kind_of_key_wins() -> None:
    named_as_june = EnterpriseConfig(number="0369", name="0367", token="y", secret="375290000900")
    directory = Directory([named_as_june, JUNE])
    assert directory.resolve("0367") is JUNE
    assert directory.resolve("375290000900") is JUNE


def test_two_keys_of_one_enterprise_may_be_the_same() -> None:
    same = EnterpriseConfig(number="0367", name="0367", token="0367", secret="0367")
    assert Directory([same]).resolve("0367") is same


def test_a_new_snapshot_replaces_the_old_one() -> None:
    directory = Directory([JUNE])
    directory.replace([MAY])
    assert (directory.resolve("june"), directory.resolve("may"), directory.enterprises) == (None, MAY, (MAY,))


def test_the_repr_shows_no_key() -> None:
    assert repr(Directory([JUNE, MAY])) == "<Directory of 2 enterprises>"


def test_one_enterprise_is_put_in_and_taken_out_under_all_its_keys() -> None:
    directory = Directory([JUNE])
    directory.put(MAY)
    renamed = EnterpriseConfig(number="0367", name="august", token="375290000900")
    directory.put(renamed)
    assert directory.enterprises == (renamed, MAY)
    assert directory.resolve("august") is renamed
    assert directory.resolve("june") is None
    directory.remove("0367")
    directory.remove("0400")
    assert directory.enterprises == (MAY,)
    assert directory.resolve("0367") is None
