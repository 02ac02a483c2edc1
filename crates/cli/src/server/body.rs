//! Reading a request's body without letting anybody eat memory or time.
//!
//! The first 64 KB are read freely and cost what has really arrived. What is longer first needs a share of a few megabytes, so that
//! all large bodies together stay within them; who only claims to send much gets none. Slow senders are cut off.

use std::time::Duration;

use app::receive::MAX_BODY_BYTES;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// More than 6 MB, claimed or sent.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// Too many large bodies at once.
    Busy,
    /// The connection broke.
    Broken,
}

/// How much and how long. `Default` is what is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Largest body.
    pub(crate) max: usize,
    /// Up to here no permit is needed.
    pub(crate) small: usize,
    /// Shares of [`SHARE`] bytes that larger ones divide among them, by their length; the largest need three.
    pub(crate) large_shares: usize,
    /// Bytes that all small bodies together may occupy while they arrive.
    pub(crate) small_together: usize,
    /// Time for a small one.
    pub(crate) small_time: Duration,
    /// Time to wait for shares.
    pub(crate) permit_time: Duration,
    /// Time for the rest of a large one, shares in hand.
    pub(crate) large_time: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            max: usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX),
            small: 64 * 1024,
            large_shares: 4,
            small_together: 12 * 1024 * 1024,
            small_time: Duration::from_secs(10),
            permit_time: Duration::from_secs(2),
            large_time: Duration::from_secs(5),
        }
    }
}

/// Reads bodies under one set of limits.
#[derive(Debug)]
pub(crate) struct BodyReader {
    limits: BodyLimits,
    large: Semaphore,
    small: Semaphore,
}

/// The bytes, and the right to hold them: to be kept until they are dealt with.
#[derive(Debug)]
pub(crate) struct ReadBody<'a> {
    pub(crate) bytes: Bytes,
    _held: Vec<SemaphorePermit<'a>>,
}

/// Bytes that arrived and the permits they need.
struct Arriving<'a> {
    buffer: Vec<u8>,
    held: Vec<SemaphorePermit<'a>>,
}

/// What one permit of the small bodies' budget stands for.
const UNIT: usize = 4 * 1024;

/// What one share of the large bodies' memory stands for.
const SHARE: usize = 2 * 1024 * 1024;

impl BodyReader {
    pub(crate) fn new(limits: BodyLimits) -> Self {
        Self { limits, large: Semaphore::new(limits.large_shares), small: Semaphore::new(limits.small_together / UNIT) }
    }

    /// Reads to the end, or to the first limit.
    pub(crate) async fn read<B>(&self, body: &mut B) -> Result<ReadBody<'_>, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let claimed = body.size_hint().exact();
        if body.size_hint().lower() > self.limits.max as u64 {
            return Err(BodyError::TooLarge);
        }
        let deadline = Instant::now() + self.limits.small_time;
        let Some(first) = timeout_at(deadline, data(body)).await.map_err(|_| BodyError::TooSlow)?? else {
            return Ok(ReadBody { bytes: Bytes::new(), _held: Vec::new() });
        };
        // Nearly every notification arrives in one piece, and is passed on without a copy.
        if claimed == Some(first.len() as u64) || body.is_end_stream() {
            return self.fits(first.len()).map(|()| ReadBody { bytes: first, _held: Vec::new() });
        }
        let mut arriving = Arriving { buffer: Vec::new(), held: Vec::new() };
        self.take_small(&mut arriving, &first)?;
        drop(first);
        while arriving.buffer.len() <= self.limits.small {
            let piece = timeout_at(deadline, data(body)).await.map_err(|_| BodyError::TooSlow)??;
            let Some(piece) = piece else { return Ok(arriving.done()) };
            self.take_small(&mut arriving, &piece)?;
        }
        self.read_large(body, arriving).await
    }

    async fn read_large<'a, B>(&'a self, body: &mut B, mut arriving: Arriving<'a>) -> Result<ReadBody<'a>, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.fits(arriving.buffer.len())?;
        let left = body.size_hint().exact().and_then(|left| usize::try_from(left).ok());
        let whole = left.map_or(self.limits.max, |left| arriving.buffer.len() + left);
        let shares = u32::try_from(whole.div_ceil(SHARE).min(self.limits.large_shares)).unwrap_or(u32::MAX);
        let permit = timeout(self.limits.permit_time, self.large.acquire_many(shares)).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(BodyError::Busy)?;
        arriving.held = vec![permit];
        arriving.buffer.reserve_exact(left.unwrap_or(0));
        let deadline = Instant::now() + self.limits.large_time;
        while let Some(piece) = timeout_at(deadline, data(body)).await.map_err(|_| BodyError::TooSlow)?? {
            self.fits(arriving.buffer.len() + piece.len())?;
            arriving.buffer.extend_from_slice(&piece);
        }
        Ok(arriving.done())
    }

    /// Adds a piece of a small body, and pays for the memory that it occupies from now on.
    fn take_small<'a>(&'a self, arriving: &mut Arriving<'a>, piece: &[u8]) -> Result<(), BodyError> {
        let needed = arriving.buffer.len() + piece.len();
        self.fits(needed)?;
        let paid: usize = arriving.held.iter().map(SemaphorePermit::num_permits).sum::<usize>() * UNIT;
        if needed > paid {
            let units = u32::try_from((needed - paid).div_ceil(UNIT)).map_err(|_| BodyError::Busy)?;
            arriving.held.push(self.small.try_acquire_many(units).map_err(|_| BodyError::Busy)?);
        }
        arriving.buffer.extend_from_slice(piece);
        Ok(())
    }

    fn fits(&self, length: usize) -> Result<(), BodyError> {
        if length > self.limits.max { Err(BodyError::TooLarge) } else { Ok(()) }
    }
}

impl<'a> Arriving<'a> {
    fn done(self) -> ReadBody<'a> {
        ReadBody { bytes: Bytes::from(self.buffer), _held: self.held }
    }
}

/// The next piece; trailers are passed over.
async fn data<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

/// Throws away what the sender still sends, a little and for a moment: a connection that is closed on unread bytes is reset,
/// and the sender may then never see the answer.
pub(crate) async fn drain<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    const MOST: usize = 16 * 1024 * 1024;
    const LONGEST: Duration = Duration::from_secs(2);
    let discard = async {
        let mut seen = 0;
        while seen < MOST {
            match data(&mut body).await {
                Ok(Some(piece)) => seen += piece.len(),
                Ok(None) | Err(_) => break,
            }
        }
    };
    // Whether it was all or not, the connection takes care of itself from here.
    let _ = timeout(LONGEST, discard).await;
}
