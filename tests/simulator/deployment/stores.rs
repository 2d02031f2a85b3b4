//! From the resources of a template to tables and buckets.
//!
//! Encryption, backups, lifecycle and who else could be let in are beyond the simulator: their properties are known by
//! name and `.ci/check-template` looks at them.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::aws::{Aws, BucketSettings, KeyAttribute, KeyType, TableSettings, Versioning};
use crate::template::{Resource, Stack};

pub(super) fn create_table(resource: &Resource, stack: &Stack, aws: &Aws) -> Result<()> {
    resource.expect_only(&[
        "TableName",
        "AttributeDefinitions",
        "KeySchema",
        "TimeToLiveSpecification",
        "BillingMode",
        "SSESpecification",
        "PointInTimeRecoverySpecification",
        "DeletionProtectionEnabled",
        "Tags",
    ])?;
    let schema = resource.get("/KeySchema").and_then(Value::as_array).context("no KeySchema")?;
    let definitions = resource.get("/AttributeDefinitions").and_then(Value::as_array);
    let definitions = definitions.context("no AttributeDefinitions")?;
    ensure!(definitions.len() == schema.len(), "AttributeDefinitions has what no key is made of");
    let (partition_key, sort_key) = match schema.as_slice() {
        [partition] => (key(partition, "HASH", definitions)?, None),
        [partition, sort] => (key(partition, "HASH", definitions)?, Some(key(sort, "RANGE", definitions)?)),
        _ => bail!("KeySchema has neither one nor two elements"),
    };
    let is_on = |value: &Value| value == true || value == "true";
    let time_to_live = if resource.get("/TimeToLiveSpecification/Enabled").is_some_and(is_on) {
        Some(resource.text("/TimeToLiveSpecification/AttributeName")?.to_owned())
    } else {
        None
    };
    aws.create_table(TableSettings {
        account: stack.account.clone(),
        region: stack.region.clone(),
        name: resource.text("/TableName")?.to_owned(),
        partition_key,
        sort_key,
        time_to_live,
    });
    Ok(())
}

/// An element of `KeySchema` with its type from `AttributeDefinitions`.
fn key(element: &Value, role: &str, definitions: &[Value]) -> Result<KeyAttribute> {
    let member = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    ensure!(member(element, "KeyType").as_deref() == Some(role), "a key is not of the type {role}");
    let name = member(element, "AttributeName").context("a key has no AttributeName")?;
    let is_it = |definition: &&Value| member(definition, "AttributeName").as_ref() == Some(&name);
    let kind = definitions.iter().find(is_it).and_then(|definition| member(definition, "AttributeType"));
    let kind = kind.as_deref().and_then(KeyType::from_name);
    let kind = kind.ok_or_else(|| anyhow!("AttributeDefinitions has no type of the key `{name}`"))?;
    Ok(KeyAttribute { name, kind })
}

pub(super) fn create_bucket(resource: &Resource, stack: &Stack, aws: &Aws) -> Result<()> {
    resource.expect_only(&[
        "BucketName",
        "VersioningConfiguration",
        "BucketEncryption",
        "PublicAccessBlockConfiguration",
        "OwnershipControls",
        "LifecycleConfiguration",
        "ObjectLockEnabled",
        "ObjectLockConfiguration",
        "Tags",
    ])?;
    let versioning = match resource.get("/VersioningConfiguration/Status").and_then(Value::as_str) {
        None => Versioning::Never,
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        Some(status) => bail!("`{status}` is no Status of a VersioningConfiguration"),
    };
    aws.create_bucket(BucketSettings {
        account: stack.account.clone(),
        region: stack.region.clone(),
        name: resource.text("/BucketName")?.to_owned(),
        versioning,
    });
    Ok(())
}

pub(super) fn put_bucket_policy(resource: &Resource, aws: &Aws) -> Result<()> {
    resource.expect_only(&["Bucket", "PolicyDocument"])?;
    let bucket = resource.text("/Bucket")?;
    let policy = resource.get("/PolicyDocument").context("no PolicyDocument")?;
    let is_there = aws.put_bucket_policy(bucket, policy)?;
    ensure!(is_there, "there is no bucket `{bucket}` yet: it must stand above its policy");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::deployment::resources;
    use crate::deployment::roles::Roles;
    use crate::event_buses::EventBuses;
    use crate::organization::Organization;
    use crate::template::Template;

    fn create(template: &str) -> Result<(Aws, BTreeMap<String, String>)> {
        let aws = Aws::new(Organization::sample(30)?, Clock::default());
        let outputs = create_in(&aws, template)?;
        Ok((aws, outputs))
    }

    fn create_in(aws: &Aws, template: &str) -> Result<BTreeMap<String, String>> {
        let stack = Stack {
            name: "unroot".to_owned(),
            account: "222233334444".to_owned(),
            region: "eu-central-1".to_owned(),
            parameters: BTreeMap::new(),
        };
        let resolved = Template::parse(template)?.resolve(&stack)?;
        resources::create(&resolved, &stack, aws, &mut Roles::default(), &mut EventBuses::default())?;
        Ok(resolved.outputs)
    }

    const TABLE: &str = "
Resources:
  State:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions:
        - {AttributeName: pk, AttributeType: S}
        - {AttributeName: sk, AttributeType: S}
      KeySchema:
        - {AttributeName: pk, KeyType: HASH}
        - {AttributeName: sk, KeyType: RANGE}
      BillingMode: PAY_PER_REQUEST
      TimeToLiveSpecification: {AttributeName: expires, Enabled: true}
Outputs:
  Name: {Value: !Ref State}
  Arn: {Value: !GetAtt State.Arn}
";

    const BUCKET: &str = "
Resources:
  Evidence:
    Type: AWS::S3::Bucket
    Properties:
      VersioningConfiguration: {Status: Enabled}
  EvidencePolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Evidence
      PolicyDocument:
        Version: '2012-10-17'
        Statement:
          - {Effect: Deny, Principal: '*', Action: 's3:*', Resource: !Sub '${Evidence.Arn}/*',
             Condition: {Bool: {'aws:SecureTransport': 'false'}}}
Outputs:
  Name: {Value: !Ref Evidence}
  Arn: {Value: !GetAtt Evidence.Arn}
";

    #[test]
    fn a_table_is_created_with_its_keys() {
        let (aws, outputs) = create(TABLE).unwrap();
        assert_eq!(outputs["Name"], "unroot-State-SIMULATED");
        assert_eq!(outputs["Arn"], "arn:aws:dynamodb:eu-central-1:222233334444:table/unroot-State-SIMULATED");
        aws.put_item(&outputs["Arn"], &json!({"pk": "a", "sk": "b"})).unwrap();
        assert!(aws.put_item(&outputs["Name"], &json!({"pk": "a"})).is_err(), "it has a sort key");
        assert_eq!(aws.items(&outputs["Name"]), [json!({"pk": "a", "sk": "b"})]);
        for (right, wrong) in [
            ("KeyType: RANGE", "KeyType: HASH"),
            ("{AttributeName: sk, AttributeType: S}", "{AttributeName: other, AttributeType: S}"),
            ("BillingMode:", "StreamSpecification:"),
        ] {
            assert!(create(&TABLE.replace(right, wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bucket_is_created_with_its_policy() {
        let (aws, outputs) = create(BUCKET).unwrap();
        assert_eq!(outputs["Name"], "unroot-evidence-simulated");
        assert_eq!(outputs["Arn"], "arn:aws:s3:::unroot-evidence-simulated");
        let policy = json!({"Statement": []});
        assert!(aws.put_bucket_policy(&outputs["Name"], &policy).unwrap());
        for (right, wrong) in [
            ("Bucket: !Ref Evidence", "Bucket: another"),
            ("Status: Enabled", "Status: On"),
            ("VersioningConfiguration:", "WebsiteConfiguration:"),
        ] {
            assert!(create(&BUCKET.replace(right, wrong)).is_err(), "{wrong}");
        }
    }

    /// With another key CloudFormation would replace the table.
    #[test]
    fn the_update_of_a_stack_keeps_the_items_of_a_table() {
        let (aws, outputs) = create(TABLE).unwrap();
        let items = [json!({"pk": "a", "sk": "b"})];
        aws.put_item(&outputs["Name"], &items[0]).unwrap();
        create_in(&aws, &TABLE.replace("AttributeName: expires", "AttributeName: ends")).unwrap();
        assert_eq!(aws.items(&outputs["Name"]), items);
        create_in(&aws, &TABLE.replace("AttributeName: sk", "AttributeName: other")).unwrap();
        assert_eq!(aws.items(&outputs["Name"]), Vec::<Value>::new());
    }
}
