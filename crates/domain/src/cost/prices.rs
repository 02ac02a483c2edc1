//! What AWS charges: list prices of us-east-1 in US dollars, without the free tier.
//!
//! Other regions differ by some percent. Each price names the page that has it.

/// When the prices were looked up.
pub const AS_OF: &str = "2026-11";

/// Per request, and per GB-second on arm64 and x86-64: <https://aws.amazon.com/lambda/pricing/>.
pub(super) const LAMBDA_REQUEST: f64 = 0.20 / 1e6;
pub(super) const LAMBDA_GB_SECOND_ARM64: f64 = 0.000_013_333_4;
pub(super) const LAMBDA_GB_SECOND_X86_64: f64 = 0.000_016_666_7;

/// Per request of at most 64 KB on a standard queue: <https://aws.amazon.com/sqs/pricing/>.
pub(super) const SQS_REQUEST: f64 = 0.40 / 1e6;

/// Per unit on demand, per GB and month stored, and per GB and month of point-in-time recovery:
/// <https://aws.amazon.com/dynamodb/pricing/on-demand/>.
pub(super) const TABLE_WRITE: f64 = 0.625 / 1e6;
pub(super) const TABLE_READ: f64 = 0.125 / 1e6;
pub(super) const TABLE_GB_MONTH: f64 = 0.25;
pub(super) const TABLE_BACKUP_GB_MONTH: f64 = 0.20;

/// Per GB taken in, per alarm and month, per metric of our own and month: <https://aws.amazon.com/cloudwatch/pricing/>.
pub(super) const LOG_GB: f64 = 0.50;
pub(super) const ALARM_MONTH: f64 = 0.10;
pub(super) const METRIC_MONTH: f64 = 0.30;

/// Per secret and month, and per read: <https://aws.amazon.com/secrets-manager/pricing/>.
pub(super) const SECRET_MONTH: f64 = 0.40;
pub(super) const SECRET_READ: f64 = 0.05 / 1e4;

/// Per call of the schedule: <https://aws.amazon.com/eventbridge/pricing/>.
pub(super) const SCHEDULE_CALL: f64 = 1.00 / 1e6;
