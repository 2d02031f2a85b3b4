//! Buckets, and what is in them.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use time::OffsetDateTime;

use crate::history::History;
use crate::organization::{AccountBucket, Organization};
use crate::policy::WrittenPolicy;

/// A bucket as a template describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSettings {
    pub account: String,
    pub region: String,
    pub name: String,
    pub versioning: Versioning,
}

/// A bucket once versioned never becomes unversioned again, its versioning is only suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    Never,
    Enabled,
    Suspended,
}

/// What was stored under a key at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    /// `null` for what was stored without versioning.
    pub id: String,
    /// None for a delete marker.
    pub body: Option<Vec<u8>>,
    pub content_type: Option<String>,
}

/// All buckets by name: no two accounts have buckets of one name.
#[derive(Debug, Default)]
pub(crate) struct Buckets(BTreeMap<String, Bucket>);

#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) settings: BucketSettings,
    pub(super) policy: History<Option<WrittenPolicy>>,
    /// Whether the organization's file or sample has it: it goes with its organization.
    is_of_organization: bool,
    /// By key, oldest first.
    versions: BTreeMap<String, Vec<Version>>,
}

#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) modified: OffsetDateTime,
    /// None for a delete marker.
    pub(super) object: Option<Object>,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) body: Bytes,
    /// The MD5 of the body, in quotes. So it is for objects that are uploaded at once and encrypted with S3's own keys.
    pub(super) etag: String,
    /// What is answered besides, by member: `ContentType`, `Metadata`, `ChecksumCRC32`.
    pub(super) members: serde_json::Map<String, serde_json::Value>,
}

/// The id of what is stored without versioning.
pub(super) const NULL: &str = "null";

impl BucketSettings {
    pub fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.name)
    }
}

impl Buckets {
    /// A bucket without a policy. One with the same name keeps its objects, as in the update of a stack.
    pub(crate) fn create(&mut self, settings: BucketSettings) -> String {
        let arn = settings.arn();
        let versions = self.0.remove(&settings.name).map(|bucket| bucket.versions).unwrap_or_default();
        let bucket = Bucket { policy: History::default(), is_of_organization: false, versions, settings };
        self.0.insert(bucket.settings.name.clone(), bucket);
        arn
    }

    /// Empties all buckets, and puts those of an organization in place of those of the one before.
    pub(crate) fn start_over(&mut self, organization: &Organization) {
        self.0.retain(|_, bucket| !bucket.is_of_organization);
        for bucket in self.0.values_mut() {
            bucket.versions.clear();
        }
        for (account, AccountBucket { name, region, policy }) in organization.buckets() {
            let (account, region, name) = (account.to_string(), region.clone(), name.clone());
            let bucket = Bucket {
                settings: BucketSettings { account, region, name: name.clone(), versioning: Versioning::Never },
                policy: History::new(policy.clone()),
                is_of_organization: true,
                versions: BTreeMap::new(),
            };
            self.0.insert(name, bucket);
        }
    }

    pub(super) fn set_policy(&mut self, name: &str, policy: Option<WrittenPolicy>) -> bool {
        let Some(bucket) = self.0.get_mut(name) else {
            return false;
        };
        bucket.policy.set(policy);
        true
    }

    pub(super) fn get(&self, name: &str) -> Option<&Bucket> {
        self.0.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Bucket> {
        self.0.get_mut(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.0.values()
    }
}

impl Bucket {
    /// The latest version under a key, which may be a delete marker.
    pub(super) fn latest(&self, key: &str) -> Option<&Version> {
        self.versions.get(key)?.last()
    }

    pub(super) fn version(&self, key: &str, id: &str) -> Option<&Version> {
        self.versions.get(key)?.iter().find(|version| version.id == id)
    }

    /// The objects that are there, in the order of their keys.
    pub(super) fn current(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.current_versions().map(|(key, _, object)| (key, object))
    }

    pub(super) fn current_versions(&self) -> impl Iterator<Item = (&str, &Version, &Object)> {
        self.versions.iter().filter_map(|(key, versions)| {
            let latest = versions.last()?;
            Some((key.as_str(), latest, latest.object.as_ref()?))
        })
    }

    pub(super) fn versions(&self, key: &str) -> Vec<ObjectVersion> {
        let versions = self.versions.get(key).into_iter().flatten();
        let shown = versions.map(|version| ObjectVersion {
            id: version.id.clone(),
            body: version.object.as_ref().map(|object| object.body.to_vec()),
            content_type: version.object.as_ref().and_then(|object| {
                object.members.get("ContentType").and_then(serde_json::Value::as_str).map(str::to_owned)
            }),
        });
        shown.collect()
    }

    /// Stores a version. Without versioning it takes the place of the one that has no id of its own.
    pub(super) fn push(&mut self, key: &str, version: Version) {
        let versions = self.versions.entry(key.to_owned()).or_default();
        if version.id == NULL {
            versions.retain(|version| version.id != NULL);
        }
        versions.push(version);
    }

    /// Removes what has this id, for good, and returns it.
    pub(super) fn remove(&mut self, key: &str, id: &str) -> Option<Version> {
        let versions = self.versions.get_mut(key)?;
        let position = versions.iter().position(|version| version.id == id)?;
        let removed = versions.remove(position);
        if versions.is_empty() {
            self.versions.remove(key);
        }
        Some(removed)
    }
}
