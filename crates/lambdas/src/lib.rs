//! The pipeline as AWS Lambda functions.
