"""What leaves with the master: the certificate and its report."""
