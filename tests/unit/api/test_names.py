from controller.api.names import primary_name


def test_a_copy_for_the_primary_has_the_name_of_the_original_first():
    assert primary_name("backend-config") == "backend-config-primary"
