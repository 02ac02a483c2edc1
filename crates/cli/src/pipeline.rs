//! The wiring that `run` and `demo` share: adapters into use cases, workers, console.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use app::connect::{Connecting, KeyPlace};
use app::deliver::{Consumer, ConsumerOptions, Deps};
use app::forget::Forgetter;
use app::history::{Asking, HistoryOptions, Importer, Questions, first_start};
use app::housekeeping::Housekeeper;
use app::ports::{
    Accepted, Clock as _, ConsumerStore, Inbox, Intercom, Jitter as _, Klaviyo, Lane, StoreResult, VendorState,
};
use app::receive::Receiver;
use app::recipes::Recipes;
use app::settings::Settings;
use app::status::NoVendors;
use axum::Router;
use clients::{ClientConfig, Clients};
use console::{About, Access, Attempts, Console, Desk, Place};
use domain::ClientSecrets;
use jiff::Timestamp;
use sqlite::{SqliteOptions, SqliteStore};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::server::{BodyLimits, BodyReader, Webhook};
use crate::shutdown::{GRACE, Stop, StopSwitch};
use clients::time::{SystemClock, SystemJitter};

/// The live queue of this process.
pub(crate) type LiveInbox = Waking<SqliteStore>;

type VendorImporter =
    Importer<SqliteStore, clients::IntercomClient<SystemClock, SystemJitter, SqliteStore>, SystemClock>;

type VendorClients = Clients<SystemClock, SystemJitter, SqliteStore>;

/// Longest time without a look at the queue: messages also come back by themselves.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Longest time that a worker obeys a pause without asking again whether it still holds.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The import looks up from its work so often, at the latest.
const LONGEST_TICK: Duration = Duration::from_secs(600);

/// The store is ours alone, so an owner of before was a process that died: nobody waits long for it.
const LEASE: Duration = Duration::from_secs(20);

const CHORES: Duration = Duration::from_secs(10);

/// An inbox that wakes a worker for every message.
#[derive(Clone, Debug)]
pub(crate) struct Waking<I> {
    inbox: I,
    wake: Arc<Notify>,
}

impl<I: Inbox> Inbox for Waking<I> {
    async fn accept(&self, accepted: Accepted) -> StoreResult<()> {
        self.inbox.accept(accepted).await?;
        self.wake.notify_one();
        Ok(())
    }
}

/// The store, and what follows from it alone.
pub(crate) struct Pipeline {
    store: SqliteStore,
    settings: Settings,
    wake: Arc<Notify>,
    vendors: Option<VendorClients>,
    setup: Vec<String>,
    connecting: Option<Arc<dyn Connecting>>,
}

/// Workers that run until they are told to stop.
pub(crate) struct Workers {
    switch: StopSwitch,
    tasks: JoinSet<()>,
}

impl Pipeline {
    /// Opens `state.db` in the directory. `setup`: variables that are missing; with any, nothing is received or delivered.
    pub(crate) async fn open(data_dir: PathBuf, settings: Settings, setup: Vec<String>) -> Result<Self, Failure> {
        let path = data_dir.join("state.db");
        let opening =
            tokio::task::spawn_blocking(move || SqliteStore::open(&path, SqliteOptions::default(), SystemClock));
        let store = opening.await.map_err(Failure::bad)?.map_err(Failure::bad)?;
        Ok(Self { store, settings, wake: Arc::new(Notify::new()), vendors: None, setup, connecting: None })
    }

    /// Builds the clients. Sends nothing yet.
    pub(crate) async fn connect(&mut self, mut config: ClientConfig) -> Result<(), Failure> {
        config.search_share = self.settings.history_share;
        // From now on webhooks are heard: what is older is the import's.
        first_start(&self.store, SystemClock.now().as_second()).await.map_err(Failure::bad)?;
        let (clock, jitter) = (Arc::new(SystemClock), Arc::new(SystemJitter));
        let clients = clients::connect(config, clock, jitter, Arc::new(self.store.clone())).await;
        self.vendors = Some(clients.map_err(Failure::configuration)?);
        Ok(())
    }

    /// From now on the console takes keys: for set-up mode.
    pub(crate) fn take_keys(&mut self, connecting: impl Connecting + 'static) {
        self.connecting = Some(Arc::new(connecting));
    }

    /// The webhook; in set-up mode it answers 503.
    pub(crate) fn webhook(&self, secrets: Option<ClientSecrets>) -> Webhook<LiveInbox, SystemClock> {
        let inbox = Waking { inbox: self.store.clone(), wake: Arc::clone(&self.wake) };
        let secrets = secrets.filter(|_| self.setup.is_empty());
        let receiver = Receiver::new(inbox, SystemClock, secrets);
        Webhook::new(receiver, BodyReader::new(BodyLimits::default()))
    }

    /// The console.
    pub(crate) fn console(&self, access: Access) -> Router {
        match &self.vendors {
            Some(clients) => {
                let questions = Questions { importer: self.importer(clients), klaviyo: clients.klaviyo.clone() };
                self.console_with(access, clients.vendors.clone(), Some(Arc::new(questions)))
            }
            None => self.console_with(access, NoVendors, None),
        }
    }

    fn desk(&self) -> Desk {
        let empty = Desk { connecting: self.connecting.clone(), ..Desk::empty(KeyPlace::Machine) };
        let Some(clients) = &self.vendors else { return empty };
        let rules = Arc::new(self.settings.rules.clone());
        let (store, intercom, klaviyo) = (self.store.clone(), clients.intercom.clone(), clients.klaviyo.clone());
        Desk {
            recipes: Some(Arc::new(Recipes::new(klaviyo.clone(), Arc::clone(&rules)))),
            forgetting: Some(Arc::new(Forgetter::new(store, intercom, klaviyo, rules))),
            ..empty
        }
    }

    fn console_with<V: VendorState + 'static>(
        &self,
        access: Access,
        vendors: V,
        asking: Option<Arc<dyn Asking>>,
    ) -> Router {
        let place = if matches!(access, Access::Loopback) { Place::Demo } else { Place::Machine };
        console::router(Console {
            store: self.store.clone(),
            vendors,
            clock: SystemClock,
            setup: self.setup.clone(),
            access,
            attempts: Arc::new(Attempts::default()),
            rules: Arc::new(self.settings.rules.clone()),
            about: About::new(place, &self.settings),
            history_days: self.settings.history_days,
            asking,
            desk: self.desk(),
        })
    }

    fn importer(&self, clients: &VendorClients) -> VendorImporter {
        let options = HistoryOptions {
            days: self.settings.history_days,
            reconcile_interval: self.settings.reconcile_interval,
            support_state: self.settings.support_state.then_some(Duration::ZERO),
            lease: LEASE,
            ..HistoryOptions::default()
        };
        let rules = Arc::new(self.settings.rules.clone());
        Importer::new(self.store.clone(), clients.intercom.clone(), SystemClock, rules, options)
    }

    /// The store, for who watches.
    pub(crate) fn store(&self) -> &SqliteStore {
        &self.store
    }

    /// Starts the consumers and the housekeeper; none in set-up mode.
    pub(crate) fn start(&self) -> Workers {
        let (switch, stop) = StopSwitch::new();
        let mut tasks = JoinSet::new();
        let Some(clients) = &self.vendors else { return Workers { switch, tasks } };
        let rules = Arc::new(self.settings.rules.clone());
        let options = ConsumerOptions {
            park_for: self.settings.parked_for,
            ledger: self.settings.ledger,
            support_state: self.settings.support_state.then_some(Duration::ZERO),
            ..ConsumerOptions::default()
        };
        let deps = Deps {
            store: self.store.clone(),
            intercom: clients.intercom.clone(),
            klaviyo: clients.klaviyo.clone(),
            clock: SystemClock,
            jitter: SystemJitter,
        };
        let consumer = Arc::new(Consumer::new(deps, Arc::clone(&rules), options));
        for _ in 0..self.settings.delivery_workers {
            let (consumer, wake, stop) = (Arc::clone(&consumer), Arc::clone(&self.wake), stop.clone());
            tasks.spawn(kept_alive(move || work(Arc::clone(&consumer), Lane::Live, Arc::clone(&wake), stop.clone())));
        }
        for lane in [Lane::History, Lane::Reconcile] {
            let (consumer, never, stop) = (Arc::clone(&consumer), Arc::new(Notify::new()), stop.clone());
            tasks.spawn(kept_alive(move || work(Arc::clone(&consumer), lane, Arc::clone(&never), stop.clone())));
        }
        let importer = Arc::new(self.importer(clients));
        for task in [Task::Import, Task::Reconcile] {
            let (importer, stop) = (Arc::clone(&importer), stop.clone());
            tasks.spawn(kept_alive(move || read_intercom(Arc::clone(&importer), task, stop.clone())));
        }
        let (store, intercom, retention) = (self.store.clone(), clients.intercom.clone(), self.settings.retention);
        let housekeeper = Arc::new(Housekeeper::new(store, intercom, SystemClock, rules, retention));
        tasks.spawn(kept_alive(move || chores(Arc::clone(&housekeeper), stop.clone())));
        Workers { switch, tasks }
    }
}

impl Workers {
    /// Lets running steps finish, for a while. What is cut is still on the queue.
    pub(crate) async fn stop(mut self) {
        self.switch.stop();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("a delivery did not finish in time and was cut; it is repeated at the next start");
            self.tasks.shutdown().await;
        }
    }
}

/// Runs a worker again should it ever panic: a bug in one message must not stop the others.
async fn kept_alive<W: Future<Output = ()> + Send + 'static>(worker: impl Fn() -> W) {
    while let Err(error) = tokio::spawn(worker()).await {
        if !error.is_panic() {
            return;
        }
        tracing::error!("a worker panicked and is started again; please report this");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Step after step. Ends between two steps, never inside one.
async fn work<S, I, K, J>(consumer: Arc<Consumer<S, I, K, SystemClock, J>>, lane: Lane, wake: Arc<Notify>, stop: Stop)
where
    S: ConsumerStore,
    I: Intercom,
    K: Klaviyo,
    J: app::ports::Jitter,
{
    while !stop.is_requested() {
        let report = consumer.step(lane).await;
        let until = report.next_wake.map(wait_until);
        match (report.claimed, until) {
            (0, until) => {
                let wait = until.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN);
                tokio::select! {
                    () = wake.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                    () = stop.clone().requested() => {}
                }
            }
            // Told to pause: another message would meet the same wait.
            (_, Some(pause)) => tokio::select! {
                () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
                () = stop.clone().requested() => {}
            },
            (_, None) => {}
        }
    }
}

/// What of Intercom is read.
#[derive(Clone, Copy)]
enum Task {
    Import,
    Reconcile,
}

/// Tick after tick. A tick that is cut off by a stop is as one that was cut off by a crash: it is done again.
async fn read_intercom(importer: Arc<VendorImporter>, task: Task, stop: Stop) {
    let owner = format!("{}-{:016x}", std::process::id(), SystemJitter.unit().to_bits());
    while !stop.is_requested() {
        let deadline = SystemClock.now().checked_add(LONGEST_TICK).unwrap_or(Timestamp::MAX);
        let tick = async {
            match task {
                Task::Import => importer.tick(&owner, deadline).await.map(drop),
                Task::Reconcile => importer.reconcile(deadline).await.map(drop),
            }
        };
        tokio::select! {
            result = tick => if let Err(error) = result {
                tracing::error!(%error, "Intercom's past could not be read; trying again");
            },
            () = stop.clone().requested() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = stop.clone().requested() => {}
        }
    }
}

async fn chores<S, I>(housekeeper: Arc<Housekeeper<S, I, SystemClock>>, stop: Stop)
where
    S: app::ports::ParkedMessages + app::ports::Overview + app::ports::Documents,
    I: Intercom,
{
    while !stop.is_requested() {
        tokio::select! {
            () = housekeeper.tick() => {}
            () = stop.clone().requested() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(CHORES) => {}
            () = stop.clone().requested() => {}
        }
    }
}

fn wait_until(moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(SystemClock.now())).unwrap_or_default()
}
