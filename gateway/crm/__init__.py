"""The CRMs an enterprise may use."""
