//! A connection whose reader has to keep up: what is written must be taken at a least rate.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Once a reader does not keep up, so long …
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// … is given it for so many bytes. dnf itself gives up below 1,000 bytes a second over 30 seconds.
pub(super) const LEAST_BYTES: usize = 30_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    /// Since the reader last did not keep up.
    stalled: Option<Stall>,
}

#[derive(Debug)]
struct Stall {
    until: Pin<Box<Sleep>>,
    written_bytes: usize,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    /// What came of a write.
    fn note(&mut self, wrote: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(bytes)) => {
                if let Some(stall) = &mut self.stalled {
                    stall.written_bytes += bytes;
                    // Past its end nobody has waited: there was nothing to write in between.
                    if stall.written_bytes >= LEAST_BYTES || stall.until.is_elapsed() {
                        self.stalled = None;
                    }
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let begin = || Stall { until: Box::pin(tokio::time::sleep(WINDOW)), written_bytes: 0 };
                let stall = self.stalled.get_or_insert_with(begin);
                ready!(stall.until.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader takes too little")))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note(wrote, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note(wrote, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// How a package of 300 kB ends for a reader who takes `bytes` every `every`; and when.
    async fn read_at(bytes: usize, every: Duration) -> (io::Result<()>, Duration) {
        let (ours, mut theirs) = tokio::io::duplex(8 << 10);
        let began = Instant::now();
        let writing = async {
            let written = Paced::new(ours).write_all(&vec![7; 300_000]).await;
            (written, began.elapsed())
        };
        let reading = async {
            let mut buffer = vec![0; bytes];
            while theirs.read_exact(&mut buffer).await.is_ok() {
                sleep(every).await;
            }
        };
        tokio::join!(writing, reading).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_takes_too_little_is_let_go_and_a_slow_one_is_not() {
        let (ended, after) = read_at(64, Duration::from_secs(10)).await;
        assert_eq!((ended.unwrap_err().kind(), after), (io::ErrorKind::TimedOut, WINDOW));
        // 2,000 bytes a second are enough, and two and a half minutes not too long.
        let (ended, after) = read_at(2_000, Duration::from_secs(1)).await;
        assert!(ended.is_ok() && after > Duration::from_secs(140), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_between_two_answers_is_no_slowness() {
        let (ours, mut theirs) = tokio::io::duplex(8 << 10);
        let mut ours = Paced::new(ours);
        for _ in 0..3 {
            let mut buffer = vec![0; 10_000];
            let reading = async {
                sleep(Duration::from_secs(1)).await;
                theirs.read_exact(&mut buffer).await.unwrap();
            };
            let (written, ()) = tokio::join!(ours.write_all(&[7; 10_000]), reading);
            written.unwrap();
            sleep(10 * WINDOW).await;
        }
    }
}
