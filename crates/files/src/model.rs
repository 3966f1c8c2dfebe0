//! A disk in memory that fails, or loses its power, wherever a test wants it to.
//!
//! It keeps what a program sees and what has reached the platters apart. A file's data reach them
//! when the file is synced, the names in a folder when the folder is. When the power goes, of the
//! changes to the names of a folder since its last sync any part may have arrived, each rename as a
//! whole, and of the data of a file that was not synced all, half, none, or zeros.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile, Lock};

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, once. A write writes half.
    Once,
    /// It and all that follow fail: the disk has gone.
    Always,
    /// It and all that follow fail if they need space.
    Full,
    /// The process ends before it; a write writes half.
    Death,
}

/// What became of data that were not synced when the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsynced {
    Arrived,
    Half,
    Lost,
    Zeros,
}

impl Unsynced {
    pub(crate) const ALL: [Self; 4] = [Self::Arrived, Self::Half, Self::Lost, Self::Zeros];
}

type Names = BTreeMap<OsString, usize>;
/// Names that got a node, or lost theirs, together.
type Change = Vec<(OsString, Option<usize>)>;

#[derive(Clone, Debug)]
enum Node {
    File { data: Vec<u8>, synced: Vec<u8> },
    Dir { names: Names, synced: Names, pending: Vec<Change> },
}

impl Node {
    fn dir() -> Self {
        Self::Dir { names: Names::new(), synced: Names::new(), pending: Vec::new() }
    }
}

#[derive(Clone, Debug)]
struct State {
    /// Node 0 is the root; none is ever freed.
    nodes: Vec<Node>,
    /// Operations until the next fault, and what it is; then those that follow.
    faults: VecDeque<(usize, Fault)>,
    operations: usize,
}

/// The disk. Clones share it; [`Model::copy`] makes another.
#[derive(Clone, Debug)]
pub(crate) struct Model(Arc<Mutex<State>>);

/// A file or a folder as a test sees it: its path, and its data if it is a file.
pub(crate) type Tree = BTreeMap<String, Option<Vec<u8>>>;

impl Model {
    pub(crate) fn new() -> Self {
        Self::of(vec![Node::dir()])
    }

    fn of(nodes: Vec<Node>) -> Self {
        Self(Arc::new(Mutex::new(State { nodes, faults: VecDeque::new(), operations: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The same files on another disk, with faults to come, each so many operations after the one
    /// before.
    pub(crate) fn copy(&self, faults: &[(usize, Fault)]) -> Self {
        let copy = Self::of(self.state().nodes.clone());
        copy.state().faults.extend(faults);
        copy
    }

    /// Whether faults are still to come.
    pub(crate) fn has_faults_left(&self) -> bool {
        let state = self.state();
        state.faults.len() > 1 || state.faults.front().is_some_and(|(left, _)| *left > 0)
    }

    /// Operations so far that change something or sync.
    pub(crate) fn operations(&self) -> usize {
        self.state().operations
    }

    /// Everything arrives.
    pub(crate) fn settle(&self) {
        for node in &mut self.state().nodes {
            match node {
                Node::File { data, synced } => synced.clone_from(data),
                Node::Dir { names, synced, pending } => {
                    synced.clone_from(names);
                    pending.clear();
                }
            }
        }
    }

    /// Changes of names that may or may not arrive.
    fn unsettled(&self) -> u32 {
        let state = self.state();
        let pending = |node: usize| {
            if let Node::Dir { pending, .. } = &state.nodes[node] { pending.len() } else { 0 }
        };
        u32::try_from(state.reachable().into_iter().map(pending).sum::<usize>()).unwrap()
    }

    /// What is there when the power comes back: `arrived` has a bit for each change of names.
    fn after_power_cut(&self, mut arrived: u32, data: Unsynced) -> Self {
        let mut nodes = self.state().nodes.clone();
        for node in self.state().reachable() {
            match &mut nodes[node] {
                Node::File { data: written, synced } => {
                    let rest = &written[synced.len()..];
                    match data {
                        Unsynced::Arrived => synced.extend(rest),
                        Unsynced::Half => synced.extend(&rest[..rest.len() / 2]),
                        Unsynced::Lost => {}
                        Unsynced::Zeros => synced.resize(written.len(), 0),
                    }
                    written.clone_from(synced);
                }
                Node::Dir { names, synced, pending } => {
                    for change in pending.drain(..) {
                        if arrived & 1 == 1 {
                            apply(synced, &change);
                        }
                        arrived >>= 1;
                    }
                    names.clone_from(synced);
                }
            }
        }
        Self::of(nodes)
    }

    /// All that may be there after the process died: what it saw, and whatever a power cut leaves
    /// of it.
    pub(crate) fn survivors(&self) -> Vec<Self> {
        let changes = self.unsettled();
        assert!(changes <= 12, "{changes} changes of names without a sync are too many to try");
        let mut seen = BTreeSet::new();
        let cuts = (0..1_u32 << changes)
            .flat_map(|arrived| Unsynced::ALL.map(|data| self.after_power_cut(arrived, data)));
        // nothing is pending on them, so that those with the same files are the same
        [self.copy(&[])]
            .into_iter()
            .chain(cuts.filter(|left| seen.insert(left.tree("/"))))
            .collect()
    }

    /// Writes a file as other programs do: at once in its place, and not synced.
    pub(crate) fn put(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.create(path)?.write_all(data)
    }

    /// Everything below a folder; nothing if it is not there.
    pub(crate) fn tree(&self, path: &str) -> Option<Tree> {
        let state = self.state();
        let mut found = Tree::new();
        let mut open = vec![(String::new(), state.find(Path::new(path)).ok()?)];
        while let Some((name, node)) = open.pop() {
            match &state.nodes[node] {
                Node::File { data, .. } => {
                    found.insert(name, Some(data.clone()));
                }
                Node::Dir { names, .. } => {
                    open.extend(
                        names
                            .iter()
                            .map(|(inner, node)| (format!("{name}/{}", inner.display()), *node)),
                    );
                    found.insert(name, None);
                }
            }
        }
        Some(found)
    }
}

fn apply(names: &mut Names, change: &Change) {
    // those that lose theirs first: a rename within a folder
    for (name, node) in change
        .iter()
        .filter(|(_, node)| node.is_none())
        .chain(change.iter().filter(|(_, node)| node.is_some()))
    {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

impl State {
    /// Counts an operation; says whether it happens, and whether it does so by half.
    fn begin(&mut self, needs_space: bool) -> Result<(), (io::Error, bool)> {
        self.operations += 1;
        let Some((left, fault)) = self.faults.front_mut() else { return Ok(()) };
        if *left > 0 {
            *left -= 1;
            return Ok(());
        }
        match fault {
            Fault::Once => {
                self.faults.pop_front();
                Err((io::Error::other("a fault"), true))
            }
            Fault::Always => Err((io::Error::other("a fault for good"), false)),
            Fault::Full if needs_space => Err((ErrorKind::StorageFull.into(), true)),
            Fault::Full => Ok(()),
            Fault::Death => {
                *fault = Fault::Always;
                Err((io::Error::other("death"), true))
            }
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        path.components().try_fold(0, |node, component| match (component, &self.nodes[node]) {
            (Component::RootDir | Component::CurDir, _) => Ok(node),
            (Component::Normal(name), Node::Dir { names, .. }) => {
                names.get(name).copied().ok_or(ErrorKind::NotFound.into())
            }
            _ => Err(ErrorKind::NotADirectory.into()),
        })
    }

    /// The folder of a path, and its last name.
    fn split<'a>(&self, path: &'a Path) -> io::Result<(usize, &'a OsStr)> {
        Ok((self.find(path.parent().unwrap())?, path.file_name().unwrap()))
    }

    fn change(&mut self, folder: usize, change: Change) {
        let Node::Dir { names, pending, .. } = &mut self.nodes[folder] else { panic!("no folder") };
        apply(names, &change);
        pending.push(change);
    }

    fn make(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        self.begin(true).map_err(|(error, _)| error)?;
        let (folder, name) = self.split(path)?;
        if self.find(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.nodes.push(node);
        let made = self.nodes.len() - 1;
        self.change(folder, vec![(name.to_owned(), Some(made))]);
        Ok(made)
    }

    fn sync(&mut self, node: usize) -> io::Result<()> {
        self.begin(false).map_err(|(error, _)| error)?;
        match &mut self.nodes[node] {
            Node::File { data, synced } => synced.clone_from(data),
            Node::Dir { names, synced, pending } => {
                synced.clone_from(names);
                pending.clear();
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.begin(false).map_err(|(error, _)| error)?;
        let (folder, name) = self.split(path)?;
        self.change(folder, vec![(name.to_owned(), None)]);
        Ok(())
    }

    /// The nodes that have a name, or may have one after a power cut.
    fn reachable(&self) -> BTreeSet<usize> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![0]);
        while let Some(node) = open.pop() {
            if let (true, Node::Dir { names, synced, pending }) =
                (seen.insert(node), &self.nodes[node])
            {
                open.extend(names.values().chain(synced.values()));
                open.extend(pending.iter().flatten().filter_map(|(_, node)| *node));
            }
        }
        seen
    }

    fn is_empty(&self, node: usize) -> bool {
        matches!(&self.nodes[node], Node::Dir { names, .. } if names.is_empty())
    }
}

struct ModelFile(Model, usize);

impl Write for ModelFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        let outcome = state.begin(true);
        let written = match &outcome {
            Ok(()) => bytes,
            Err((_, true)) => &bytes[..bytes.len() / 2],
            Err((_, false)) => &[],
        };
        let Node::File { data, .. } = &mut state.nodes[self.1] else { panic!("no file") };
        data.extend(written);
        outcome.map(|()| bytes.len()).map_err(|(error, _)| error)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for ModelFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.state().sync(self.1)
    }
}

impl Disk for Model {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let made = self.state().make(path, Node::File { data: Vec::new(), synced: Vec::new() })?;
        Ok(Box::new(ModelFile(self.clone(), made)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(ModelFile(self.clone(), self.state().find(path)?)))
    }

    fn truncate(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let Ok(node) = self.state().find(path) else { return self.create(path) };
        let mut state = self.state();
        state.begin(false).map_err(|(error, _)| error)?;
        state.nodes[node] = Node::File { data: Vec::new(), synced: Vec::new() };
        drop(state);
        Ok(Box::new(ModelFile(self.clone(), node)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.state().make(path, Node::dir()).map(|_| ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(false).map_err(|(error, _)| error)?;
        let ((folder, old), (other, new)) = (state.split(from)?, state.split(to)?);
        assert_eq!(
            folder,
            other,
            "a rename between folders is two changes: {} to {}",
            from.display(),
            to.display()
        );
        let node = state.find(from)?;
        if let Ok(there) = state.find(to)
            && matches!(state.nodes[there], Node::Dir { .. })
            && !state.is_empty(there)
        {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        state.change(folder, vec![(old.to_owned(), None), (new.to_owned(), Some(node))]);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.state().find(path)?;
        self.state().remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let node = self.state().find(path)?;
        assert!(self.state().is_empty(node), "{} is not empty", path.display());
        self.state().remove(path)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(path)?;
        state.sync(node)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.sync_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.state();
        match &state.nodes[state.find(path)?] {
            Node::Dir { names, .. } => Ok(names.keys().cloned().collect()),
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn is_dir(&self, path: &Path) -> io::Result<Option<bool>> {
        let state = self.state();
        match state.find(path) {
            Ok(node) => Ok(Some(matches!(state.nodes[node], Node::Dir { .. }))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        matches!(self.is_dir(path), Ok(Some(true)))
    }

    fn lock(&self, _path: &Path) -> Option<Lock> {
        Some(Lock::NONE)
    }
}
