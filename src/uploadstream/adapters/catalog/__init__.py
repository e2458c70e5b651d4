"""What is known of uploads and files, kept in a relational database: one schema, one set of queries."""
