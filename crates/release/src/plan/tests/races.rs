//! Releases that race over images and registries, as a model: any order of their steps, any of them cut off at any
//! moment and run again. In the end each has one number for all of its images, in all of its registries.

use proptest::prelude::*;

use super::*;

const IMAGES: [&str; 3] = ["hub", "lab", "proxy"];

/// What the registries have: image and registry → tag → digest and commit.
type World = BTreeMap<(usize, usize), BTreeMap<String, (Digest, Option<String>)>>;

/// A release: of some of the images, into some of the registries.
#[derive(Clone, Debug)]
struct Racer {
    number: usize,
    images: Vec<usize>,
    registries: Vec<usize>,
    commit: Option<String>,
    claimed: BTreeSet<(String, String)>,
    /// What is still to be claimed: image, registry, tag.
    todo: Option<Vec<(usize, usize, String)>>,
    done: bool,
    /// Whether it was cut off, and then found that others came over what it had put out: that is theirs to be.
    cut_off: bool,
    passed_over: bool,
}

impl Racer {
    fn candidate(&self, image: usize) -> Candidate {
        let key = digest(&format!("{} {image}", self.number));
        Candidate {
            image: IMAGES[image].to_owned(),
            version: "5.3.0".to_owned(),
            digest: key.clone(),
            key,
            revision: self.commit.clone(),
            base: None,
        }
    }

    fn state(&self, world: &World, image: usize, registry: usize) -> State {
        let Some(there) = world.get(&(image, registry)) else { return State::default() };
        let newest = newest_builds("5.3.0", there.keys().map(String::as_str), 8);
        let builds = newest.iter().map(|tag| {
            let (digest, revision) = there[*tag].clone();
            Build { tag: (*tag).to_owned(), key: Some(digest.clone()), digest, revision, base: None }
        });
        State { builds: builds.collect(), tags: there.keys().cloned().collect() }
    }

    /// One step: a plan, or a claim.
    fn step(&mut self, world: &mut World) {
        if self.done {
            return;
        }
        let Some(todo) = &mut self.todo else { return self.plan(world) };
        let Some((image, registry, tag)) = todo.pop() else {
            self.done = true;
            return;
        };
        let digest = self.candidate(image).digest;
        let there = world.entry((image, registry)).or_default();
        if there.get(&tag).is_some_and(|(found, _)| *found != digest) {
            self.todo = None;
            return;
        }
        there.insert(tag.clone(), (digest, self.commit.clone()));
        self.claimed.insert((IMAGES[image].to_owned(), tag));
    }

    fn plan(&mut self, world: &mut World) {
        let candidates: Vec<Candidate> = self.images.iter().map(|image| self.candidate(*image)).collect();
        let states = self.images.iter().map(|image| {
            let states = self.registries.iter().map(|registry| self.state(world, *image, *registry));
            (IMAGES[*image].to_owned(), states.collect())
        });
        let observed =
            Observed { states: states.collect(), claimed: self.claimed.clone(), ..Observed::default() };
        let decisions = plan(&candidates, &observed, Branch { moves_latest: true }).unwrap();
        let theirs = |(image, decision): (&usize, &Decision)| {
            decision.released && decision.digest != self.candidate(*image).digest
        };
        self.passed_over = self.images.iter().zip(&decisions).any(theirs);
        let mut todo = Vec::new();
        for (image, decision) in self.images.iter().zip(decisions) {
            for registry in &self.registries {
                let ours = decision.digest == self.candidate(*image).digest;
                // What another release has out is another release's to finish.
                if !decision.released || ours {
                    todo.push((*image, *registry, decision.tag.clone()));
                }
            }
        }
        // From the last to the first: the order of all releases.
        todo.sort_by(|a, b| b.cmp(a));
        self.todo = Some(todo);
    }

    /// The numbers that all of it has everywhere.
    fn numbers(&self, world: &World) -> BTreeSet<String> {
        let places = self.images.iter().flat_map(|i| self.registries.iter().map(move |r| (*i, *r)));
        let all = places.map(|(image, registry)| {
            let digest = self.candidate(image).digest;
            let tags = world.get(&(image, registry)).into_iter().flatten();
            tags.filter(|(_, (found, _))| *found == digest).map(|(tag, _)| tag.clone()).collect()
        });
        all.reduce(|a: BTreeSet<String>, b| a.intersection(&b).cloned().collect()).unwrap_or_default()
    }
}

fn some(of: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence((0..of).collect::<Vec<_>>(), 1..=of)
}

fn racers(commits: bool) -> impl Strategy<Value = Vec<Racer>> {
    let one = (some(3), some(2));
    prop::collection::vec(one, 2..5).prop_map(move |all| {
        let racer = |(number, (images, registries))| Racer {
            number,
            images,
            registries,
            commit: commits.then(|| format!("c{number}")),
            claimed: BTreeSet::new(),
            todo: None,
            done: false,
            cut_off: false,
            passed_over: false,
        };
        all.into_iter().enumerate().map(racer).collect()
    })
}

fn race(mut racers: Vec<Racer>, steps: &[(usize, bool)]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    for (who, cut_off) in steps {
        let at = who % racers.len();
        if *cut_off {
            let again = racers[at].clone();
            racers[at] = Racer { claimed: BTreeSet::new(), todo: None, done: false, cut_off: true, ..again };
        }
        racers[at].step(&mut world);
    }
    for racer in &mut racers {
        for _ in 0..200 {
            racer.step(&mut world);
        }
        prop_assert!(racer.done, "{racer:?} does not end");
    }
    for racer in &racers {
        let passed_over = racer.cut_off && racer.passed_over;
        prop_assert!(passed_over || !racer.numbers(&world).is_empty(), "{racer:?} in {world:#?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn each_release_ends_under_one_number(
        racers in racers(true),
        steps in prop::collection::vec((0usize..4, prop::bool::weighted(0.1)), 0..80),
    ) {
        race(racers, &steps)?;
    }

    /// Without a commit a later run cannot know what an earlier one put out; a run by itself does.
    #[test]
    fn also_without_a_commit_unless_it_is_cut_off(
        racers in racers(false),
        steps in prop::collection::vec((0usize..4, Just(false)), 0..80),
    ) {
        race(racers, &steps)?;
    }
}
