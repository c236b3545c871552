"""Which foreign key an author means: by the name of a reference, or by the table that refers."""
