//! Tables through the API. They are there, and their time to live is set, at once.

use serde::Deserialize;
use serde_json::{Value, json};

use super::table::{KeyAttribute, KeyType, Table, TableSettings};
use super::{constraint, invalid, table_arn};
use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateTable {
    table_name: Option<String>,
    #[serde(default)]
    attribute_definitions: Vec<AttributeDefinition>,
    #[serde(default)]
    key_schema: Vec<KeySchemaElement>,
    #[serde(rename = "BillingMode")]
    _billing_mode: Option<String>,
    #[serde(rename = "ProvisionedThroughput")]
    _provisioned_throughput: Option<Value>,
    #[serde(rename = "DeletionProtectionEnabled")]
    _deletion_protection_enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct KeySchemaElement {
    attribute_name: String,
    key_type: String,
}

/// `KeySchema` and `AttributeDefinitions` of the API and of CloudFormation. The hash key stands first.
pub(super) fn keys(
    definitions: &[AttributeDefinition],
    schema: &[KeySchemaElement],
) -> Result<(KeyAttribute, Option<KeyAttribute>), ApiError> {
    let key = |element: &KeySchemaElement, role: &str| {
        if element.key_type != role {
            return Err(invalid(format!("Invalid KeySchema: a key of type {role} is expected in this place")));
        }
        let is_it = |definition: &&AttributeDefinition| definition.attribute_name == element.attribute_name;
        let definition = definitions.iter().find(is_it).ok_or_else(|| {
            invalid(
                "One or more parameter values were invalid: Some index key attributes are not defined in \
                 AttributeDefinitions.",
            )
        })?;
        let kind = KeyType::from_name(&definition.attribute_type).ok_or_else(|| {
            let value = format!("'{}'", definition.attribute_type);
            constraint(&value, "attributeDefinitions", "satisfy enum value set: [B, N, S]")
        })?;
        Ok(KeyAttribute { name: element.attribute_name.clone(), kind })
    };
    let keys = match schema {
        [partition] => (key(partition, "HASH")?, None),
        [partition, sort] => (key(partition, "HASH")?, Some(key(sort, "RANGE")?)),
        _ => return Err(invalid("1 validation error detected: keySchema must have one or two elements")),
    };
    if definitions.len() != schema.len() {
        return Err(invalid(
            "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number \
             of attributes defined in AttributeDefinitions",
        ));
    }
    Ok(keys)
}

pub(super) fn create_table(world: &mut World, call: &Call) -> Answer {
    let input: CreateTable = call.input()?;
    let arn = table_arn(call, input.table_name.as_deref())?;
    let name = input.table_name.unwrap_or_default();
    world.authorize_table(call, "dynamodb:CreateTable", &arn)?;
    if world.tables.find(&arn).is_some() {
        return Err(ApiError::new("ResourceInUseException", 400, format!("Table already exists: {name}")));
    }
    let (partition_key, sort_key) = keys(&input.attribute_definitions, &input.key_schema)?;
    let (account, region) = (call.caller.account.to_string(), call.region.clone());
    world.tables.create(TableSettings { account, region, name, partition_key, sort_key, time_to_live: None });
    Ok(json!({ "TableDescription": description(world.tables.get(&arn)?) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OfTable {
    table_name: Option<String>,
}

pub(super) fn delete_table(world: &mut World, call: &Call) -> Answer {
    let arn = authorized(world, call, "dynamodb:DeleteTable")?;
    let table = world.tables.delete(&arn).ok_or_else(|| no_such_table(&arn))?;
    let mut description = description(&table);
    if let Some(description) = description.as_object_mut() {
        description.insert("TableStatus".to_owned(), json!("DELETING"));
    }
    Ok(json!({ "TableDescription": description }))
}

pub(super) fn describe_table(world: &mut World, call: &Call) -> Answer {
    let arn = authorized(world, call, "dynamodb:DescribeTable")?;
    Ok(json!({ "Table": description(world.tables.find(&arn).ok_or_else(|| no_such_table(&arn))?) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateTimeToLive {
    table_name: Option<String>,
    time_to_live_specification: TimeToLiveSpecification,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TimeToLiveSpecification {
    attribute_name: String,
    enabled: bool,
}

pub(super) fn update_time_to_live(world: &mut World, call: &Call) -> Answer {
    let input: UpdateTimeToLive = call.input()?;
    let arn = table_arn(call, input.table_name.as_deref())?;
    world.authorize_table(call, "dynamodb:UpdateTimeToLive", &arn)?;
    let TimeToLiveSpecification { attribute_name, enabled } = input.time_to_live_specification;
    let table = world.tables.get_mut(&arn).map_err(|_| no_such_table(&arn))?;
    if enabled == table.settings.time_to_live.is_some() {
        let state = if enabled { "enabled" } else { "disabled" };
        return Err(invalid(format!("TimeToLive is already {state}")));
    }
    table.settings.time_to_live = enabled.then(|| attribute_name.clone());
    Ok(json!({ "TimeToLiveSpecification": { "AttributeName": attribute_name, "Enabled": enabled } }))
}

pub(super) fn describe_time_to_live(world: &mut World, call: &Call) -> Answer {
    let arn = authorized(world, call, "dynamodb:DescribeTimeToLive")?;
    let table = world.tables.find(&arn).ok_or_else(|| no_such_table(&arn))?;
    Ok(json!({ "TimeToLiveDescription": match &table.settings.time_to_live {
        Some(attribute) => json!({ "AttributeName": attribute, "TimeToLiveStatus": "ENABLED" }),
        None => json!({ "TimeToLiveStatus": "DISABLED" }),
    } }))
}

fn authorized(world: &World, call: &Call, action: &str) -> Result<String, ApiError> {
    let OfTable { table_name } = call.input()?;
    let arn = table_arn(call, table_name.as_deref())?;
    world.authorize_table(call, action, &arn)?;
    Ok(arn)
}

fn description(table: &Table) -> Value {
    let settings = &table.settings;
    let keys = settings.key_attributes();
    let definitions: Vec<_> =
        keys.map(|key| json!({ "AttributeName": key.name, "AttributeType": key.kind.name() })).collect();
    let roles = ["HASH", "RANGE"].into_iter().zip(settings.key_attributes());
    let schema: Vec<_> = roles.map(|(role, key)| json!({ "AttributeName": key.name, "KeyType": role })).collect();
    json!({
        "TableName": settings.name,
        "TableArn": settings.arn(),
        "TableStatus": "ACTIVE",
        "AttributeDefinitions": definitions,
        "KeySchema": schema,
        "ItemCount": table.items(0).len(),
    })
}

/// The operations on tables name the table that is not there, those on items do not.
fn no_such_table(arn: &str) -> ApiError {
    let name = arn.rsplit('/').next().unwrap_or(arn);
    ApiError::new("ResourceNotFoundException", 400, format!("Requested resource not found: Table: {name} not found"))
}
