"""What every room hands on: combinations, specifications, descriptions, results, and their JSON documents."""
