//! openraft's channels as newtypes over tokio's synchronisation primitives, which need no tokio runtime: they only
//! store wakers.

use openraft_rt::{
    Mpsc, MpscReceiver, MpscSender, MpscWeakSender, Mutex, Oneshot, OneshotSender, OptionalSend,
    OptionalSync, RecvError, SendError, TryRecvError, Watch, WatchReceiver, WatchSender,
};
use tokio::sync::{mpsc, oneshot, watch};

/// All three kinds of channels.
#[derive(Clone, Copy, Debug)]
pub struct Channels;

/// Sends on a bounded channel.
pub struct Sender<T>(mpsc::Sender<T>);
/// Receives from a bounded channel.
pub struct Receiver<T>(mpsc::Receiver<T>);
/// Sends on a bounded channel while others keep it open.
pub struct WeakSender<T>(mpsc::WeakSender<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        WeakSender(self.0.clone())
    }
}

impl Mpsc for Channels {
    type Sender<T: OptionalSend> = Sender<T>;
    type Receiver<T: OptionalSend> = Receiver<T>;
    type WeakSender<T: OptionalSend> = WeakSender<T>;

    fn channel<T: OptionalSend>(buffer: usize) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = mpsc::channel(buffer);
        (Sender(sender), Receiver(receiver))
    }
}

impl<T: OptionalSend> MpscSender<Channels, T> for Sender<T> {
    async fn send(&self, msg: T) -> Result<(), SendError<T>> {
        self.0.send(msg).await.map_err(|refused| SendError(refused.0))
    }

    fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }
}

impl<T: OptionalSend> MpscReceiver<T> for Receiver<T> {
    async fn recv(&mut self) -> Option<T> {
        self.0.recv().await
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            mpsc::error::TryRecvError::Empty => TryRecvError::Empty,
            mpsc::error::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }
}

impl<T: OptionalSend> MpscWeakSender<Channels, T> for WeakSender<T> {
    fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }
}

/// Sends one value.
pub struct OnceSender<T>(oneshot::Sender<T>);

impl Oneshot for Channels {
    type Sender<T: OptionalSend> = OnceSender<T>;
    type Receiver<T: OptionalSend> = oneshot::Receiver<T>;
    type ReceiverError = oneshot::error::RecvError;

    fn channel<T: OptionalSend>() -> (OnceSender<T>, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (OnceSender(sender), receiver)
    }
}

impl<T: OptionalSend> OneshotSender<T> for OnceSender<T> {
    fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }
}

/// Changes a watched value.
pub struct WatchedSender<T>(watch::Sender<T>);
/// Sees the latest of a watched value.
pub struct WatchedReceiver<T>(watch::Receiver<T>);

impl<T> Clone for WatchedSender<T> {
    fn clone(&self) -> Self {
        WatchedSender(self.0.clone())
    }
}

impl<T> Clone for WatchedReceiver<T> {
    fn clone(&self) -> Self {
        WatchedReceiver(self.0.clone())
    }
}

impl Watch for Channels {
    type Sender<T: OptionalSend + OptionalSync> = WatchedSender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = WatchedReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = watch::Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (WatchedSender<T>, WatchedReceiver<T>) {
        let (sender, receiver) = watch::channel(init);
        (WatchedSender(sender), WatchedReceiver(receiver))
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<Channels, T> for WatchedSender<T> {
    fn send(&self, value: T) -> Result<(), openraft_rt::watch::SendError<T>> {
        self.0.send(value).map_err(|refused| openraft_rt::watch::SendError(refused.0))
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        self.0.send_if_modified(modify)
    }

    fn borrow_watched(&self) -> watch::Ref<'_, T> {
        self.0.borrow()
    }

    fn subscribe(&self) -> WatchedReceiver<T> {
        WatchedReceiver(self.0.subscribe())
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<Channels, T> for WatchedReceiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        self.0.changed().await.map_err(|_| RecvError(()))
    }

    fn borrow_watched(&self) -> watch::Ref<'_, T> {
        self.0.borrow()
    }

    fn borrow_and_update(&mut self) -> watch::Ref<'_, T> {
        self.0.borrow_and_update()
    }
}

/// A lock that is waited for.
pub struct LocalMutex<T>(tokio::sync::Mutex<T>);

impl<T: OptionalSend + 'static> Mutex<T> for LocalMutex<T> {
    type Guard<'a> = tokio::sync::MutexGuard<'a, T>;

    fn new(value: T) -> Self {
        LocalMutex(tokio::sync::Mutex::new(value))
    }

    async fn lock(&self) -> tokio::sync::MutexGuard<'_, T> {
        self.0.lock().await
    }
}
