"""Walks through the simulated organization of tests/fixtures/organization.json with boto3, as the audit account and as
the management account, and holds each answer on the wire against the service's own model: boto3 itself would overlook a
member that AWS does not have."""

import json
import xml.etree.ElementTree as ElementTree
from datetime import datetime

import boto3
from botocore.exceptions import ClientError

AUDIT = "222233334444"
SHOP = "444455556666"
ACQUIRED = "888899990000"  # below a service control policy that denies root users
TASKS = "arn:aws:iam::aws:policy/root-task/"

checked = set()


def check_json(where, value, shape):
    if shape.type_name == "structure":
        for name, member in value.items():
            assert name in shape.members, f"{where} has no member {name}"
            check_json(f"{where}.{name}", member, shape.members[name])
    elif shape.type_name == "list":
        for item in value:
            check_json(where, item, shape.member)
    elif shape.type_name == "timestamp":
        assert isinstance(value, (int, float)), f"{where} is {value!r}, not seconds"
    elif shape.type_name == "string":
        assert isinstance(value, str), f"{where} is {value!r}, not a text"


def check_xml(where, element, shape):
    if shape.type_name == "structure":
        for child in element:
            name = child.tag.split("}")[1]
            assert name in shape.members, f"{where} has no member {name}"
            check_xml(f"{where}.{name}", child, shape.members[name])
    elif shape.type_name == "list":
        for child in element:
            assert child.tag.endswith("}member"), f"{where} is a list of {child.tag}"
            check_xml(where, child, shape.member)


def check_answer(http_response, parsed, model, **_):
    if http_response.status_code not in (200, 204):
        return
    header = "x-amz-request-id" if model.service_model.service_name == "s3" else "x-amzn-requestid"
    assert http_response.headers.get(header), f"{model.name} has no request id"
    checked.add(model.name)
    if model.output_shape is None:
        return
    if model.service_model.protocol == "json":
        check_json(model.name, json.loads(http_response.content), model.output_shape)
        return
    if model.service_model.protocol == "rest-json":
        check_json(model.name, json.loads(http_response.content), model.output_shape)
        return
    # The members of S3 are in headers too, and its lists are flat: `buckets` asserts what boto3 makes of them.
    if model.service_model.protocol == "rest-xml":
        return
    for result in ElementTree.fromstring(http_response.content):
        if result.tag.endswith("Result"):
            check_xml(model.name, result, model.output_shape)


def client(service, **settings):
    new = boto3.client(service, **settings)
    new.meta.events.register("after-call.*.*", check_answer)
    return new


def root_session(task, account=SHOP):
    opened = client("sts").assume_root(TargetPrincipal=account, TaskPolicyArn={"arn": TASKS + task})["Credentials"]
    return {
        "aws_access_key_id": opened["AccessKeyId"],
        "aws_secret_access_key": opened["SecretAccessKey"],
        "aws_session_token": opened["SessionToken"],
    }


def refused(call, **request):
    try:
        call(**request)
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError(f"{call.__name__} is not refused")


def organization():
    organizations = client("organizations")
    pages = organizations.get_paginator("list_accounts").paginate()
    accounts = [account for page in pages for account in page["Accounts"]]
    assert len(accounts) == 8, accounts
    assert all(account["Paths"] and account["State"] for account in accounts)
    organizations.describe_organization()
    organizations.describe_account(AccountId=SHOP)
    organizations.list_parents(ChildId=SHOP)
    organizations.list_accounts_for_parent(ParentId="r-a1b2")
    organizations.list_delegated_administrators()
    assert set(client("iam").list_organizations_features()["EnabledFeatures"]) == {
        "RootCredentialsManagement",
        "RootSessions",
    }


def root_tasks():
    audit = client("iam", **root_session("IAMAuditRootUserCredentials"))
    assert audit.get_account_summary()["SummaryMap"]["AccountPasswordPresent"] == 1
    keys = [key["AccessKeyId"] for key in audit.list_access_keys()["AccessKeyMetadata"]]
    audit.get_access_key_last_used(AccessKeyId=keys[0])
    certificates = audit.list_signing_certificates()["Certificates"]
    devices = audit.list_mfa_devices()["MFADevices"]
    assert (len(keys), len(certificates), len(devices)) == (2, 1, 3)
    assert audit.get_user()["User"]["UserId"] == SHOP
    assert refused(audit.delete_login_profile) == "AccessDenied"

    delete = client("iam", **root_session("IAMDeleteRootUserCredentials"))
    assert refused(delete.get_account_summary) == "AccessDenied"
    delete.delete_login_profile()
    assert refused(delete.get_login_profile) == "NoSuchEntity"
    for key in keys:
        delete.delete_access_key(AccessKeyId=key)
    for certificate in certificates:
        delete.delete_signing_certificate(CertificateId=certificate["CertificateId"])
    for device in devices:
        delete.deactivate_mfa_device(SerialNumber=device["SerialNumber"])
    root_entries = ["AccountPasswordPresent", "AccountAccessKeysPresent", "AccountSigningCertificatesPresent"]
    summary = audit.get_account_summary()["SummaryMap"]
    assert [summary[entry] for entry in [*root_entries, "AccountMFAEnabled"]] == [0, 0, 0, 0], summary

    recovery = client("iam", **root_session("IAMCreateRootUserPassword"))
    assert "UserName" not in recovery.create_login_profile()["LoginProfile"]
    assert refused(recovery.create_login_profile) == "EntityAlreadyExists"
    denied = client("iam", **root_session("IAMAuditRootUserCredentials", ACQUIRED))
    assert refused(denied.get_account_summary) == "AccessDenied"


def events():
    entry = {"Source": "unroot", "DetailType": "Example", "Detail": "{}", "EventBusName": "unroot"}
    entries = [{**entry, "Time": datetime.now(), "Resources": ["a"]}, {**entry, "Source": "aws.iam"}]
    answer = client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 1 and answer["Entries"][0]["EventId"], answer
    assert answer["Entries"][1]["ErrorCode"] == "NotAuthorizedForSourceException", answer
    assert refused(client("events").put_events, Entries=[entry] * 11) == "ValidationException"


KEYS = {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
    ],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def key(pk, sk):
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}}


def put(table, item, **members):
    return {"Put": {"TableName": table, "Item": item, **members}}


def tables():
    dynamodb, table = client("dynamodb"), "check-clients"
    dynamodb.create_table(TableName=table, **KEYS)
    assert refused(dynamodb.create_table, TableName=table, **KEYS) == "ResourceInUseException"
    assert dynamodb.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"
    assert refused(dynamodb.describe_table, TableName="nowhere") == "ResourceNotFoundException"
    specification = {"AttributeName": "expires", "Enabled": True}
    dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)
    description = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert description["TimeToLiveStatus"] == "ENABLED", description

    item = {
        **key("a", 1),
        "text": {"S": "\u00fc"},
        "truth": {"BOOL": True},
        "nothing": {"NULL": True},
        "bytes": {"B": b"\x00\xff"},
        "texts": {"SS": ["x", "y"]},
        "list": {"L": [{"N": "2.5"}, {"M": {"inner": {"S": "z"}}}]},
    }
    new = {"ConditionExpression": "attribute_not_exists(pk)"}
    dynamodb.put_item(TableName=table, Item=item, **new)
    assert refused(dynamodb.put_item, TableName=table, Item=item, **new) == "ConditionalCheckFailedException"
    got = dynamodb.get_item(TableName=table, Key=key("a", 1), ConsistentRead=True)["Item"]
    assert got == item, got
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key("a", 2))
    assert refused(dynamodb.get_item, TableName=table, Key={"pk": {"S": "a"}}) == "ValidationException"

    writes = [{"PutRequest": {"Item": {**key("b", number), "size": {"N": str(number)}}}} for number in (10, 9, 2, 1)]
    assert dynamodb.batch_write_item(RequestItems={table: writes})["UnprocessedItems"] == {}
    read = dynamodb.batch_get_item(RequestItems={table: {"Keys": [key("b", 1), key("b", 2), key("c", 1)]}})
    assert len(read["Responses"][table]) == 2 and read["UnprocessedKeys"] == {}, read
    duplicates = {table: {"Keys": [key("b", 1), key("b", 1)]}}
    assert refused(dynamodb.batch_get_item, RequestItems=duplicates) == "ValidationException"

    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
        FilterExpression="#size <> :nine",
        ExpressionAttributeNames={"#size": "size"},
        ExpressionAttributeValues={":pk": {"S": "b"}, ":low": {"N": "2"}, ":high": {"N": "10"}, ":nine": {"N": "9"}},
        PaginationConfig={"PageSize": 1},
    )
    assert [item["sk"]["N"] for page in pages for item in page["Items"]] == ["2", "10"]
    assert dynamodb.scan(TableName=table, Select="COUNT")["Count"] == 5

    try:
        dynamodb.transact_write_items(TransactItems=[put(table, key("d", 1)), put(table, item, **new)])
        raise AssertionError("the transaction is not cancelled")
    except dynamodb.exceptions.TransactionCanceledException as cancelled:
        codes = [reason["Code"] for reason in cancelled.response["CancellationReasons"]]
    assert codes == ["None", "ConditionalCheckFailed"], codes
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key("d", 1))
    once = {"TransactItems": [put(table, key("d", 1), **new)], "ClientRequestToken": "once"}
    dynamodb.transact_write_items(**once)
    dynamodb.transact_write_items(**once)
    dynamodb.delete_item(TableName=table, Key=key("d", 1))
    dynamodb.delete_table(TableName=table)


def buckets():
    s3, bucket = client("s3"), "check-clients"
    s3.create_bucket(Bucket=bucket)
    s3.head_bucket(Bucket=bucket)
    assert bucket in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert refused(s3.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    name = "evidence/\u00fc +&.jsonl"
    first = s3.put_object(Bucket=bucket, Key=name, Body=b"one", ContentType="text/plain", Metadata={"run": "1"})
    s3.put_object(Bucket=bucket, Key=name, Body=b"two")
    got = s3.get_object(Bucket=bucket, Key=name, VersionId=first["VersionId"])
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"one", "text/plain", {"run": "1"}), got
    assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == b"two"
    assert s3.head_object(Bucket=bucket, Key=name)["ContentLength"] == 3
    assert refused(s3.put_object, Bucket=bucket, Key=name, Body=b"", IfNoneMatch="*") == "PreconditionFailed"
    assert refused(s3.get_object, Bucket=bucket, Key="nothing") == "NoSuchKey"
    assert refused(s3.head_object, Bucket=bucket, Key="nothing") == "404"
    assert refused(s3.get_object, Bucket="check-nowhere", Key="nothing") == "NoSuchBucket"

    s3.copy_object(Bucket=bucket, Key="latest/copy", CopySource={"Bucket": bucket, "Key": name})
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1}))
    assert [[found["Key"] for found in page["Contents"]] for page in pages] == [[name], ["latest/copy"]]
    groups = s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
    assert [group["Prefix"] for group in groups] == ["evidence/", "latest/"]
    assert s3.delete_object(Bucket=bucket, Key=name)["DeleteMarker"] is True
    assert refused(s3.get_object, Bucket=bucket, Key=name) == "NoSuchKey"


def unlock_buckets():
    session = root_session("S3UnlockBucketPolicy")
    s3 = client("s3", **session)
    pages = s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1})
    regions = {bucket["Name"]: bucket["BucketRegion"] for page in pages for bucket in page["Buckets"]}
    assert regions == {"shop-logs": "eu-central-1", "shop-orders": "eu-west-1", "shop-website": "us-east-1"}, regions
    assert "BucketRegion" not in s3.list_buckets()["Buckets"][0]
    for bucket in ["shop-orders", "shop-website"]:
        there = client("s3", region_name=regions[bucket], **session)
        policy = there.get_bucket_policy(Bucket=bucket)["Policy"]
        assert bucket in policy, policy
        there.delete_bucket_policy(Bucket=bucket)
        assert refused(there.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"
        assert refused(there.put_bucket_policy, Bucket=bucket, Policy="{}") == "MalformedPolicy"
        there.put_bucket_policy(Bucket=bucket, Policy=policy)
        # boto3 follows to the right Region from a wrong one, from us-east-1 and from others.
        for region in ["us-east-1", "ap-southeast-2"]:
            elsewhere = client("s3", region_name=region, **session)
            assert elsewhere.get_bucket_policy(Bucket=bucket)["Policy"] == policy
        assert refused(there.get_bucket_location, Bucket=bucket) == "AccessDenied"
        assert refused(there.get_bucket_policy_status, Bucket=bucket) == "AccessDenied"
        assert refused(there.head_bucket, Bucket=bucket) == "403"
    assert refused(s3.get_bucket_policy, Bucket="acquired-archive") == "AccessDenied"
    assert refused(s3.get_bucket_policy, Bucket="open-to-the-shop") == "MethodNotAllowed"
    assert refused(s3.get_bucket_policy, Bucket="shop-nowhere") == "NoSuchBucket"
    assert client("s3").get_bucket_location(Bucket="check-clients")["LocationConstraint"] is None


def unlock_queues():
    session = root_session("SQSUnlockQueuePolicy")
    for region, name in [("eu-west-1", "orders"), ("us-east-1", "newsletter")]:
        sqs = client("sqs", region_name=region, **session)
        url = f"https://sqs.{region}.amazonaws.com/{SHOP}/{name}"
        assert url in sqs.list_queues()["QueueUrls"]
        assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
        policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["Policy"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
        assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        assert refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={"Policy": "{"}) == "InvalidAttributeValue"
        assert refused(sqs.purge_queue, QueueUrl=url) == "AccessDenied"
        elsewhere = client("sqs", region_name="ap-southeast-2", **session)
        code = refused(elsewhere.get_queue_attributes, QueueUrl=url)
        assert code == "AWS.SimpleQueueService.NonExistentQueue", code
    stranger = client("sqs", region_name="us-east-1", **root_session("SQSUnlockQueuePolicy", "555566667777"))
    assert refused(stranger.get_queue_attributes, QueueUrl=url) == "AccessDenied"
    assert list(client("sqs", **session).get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 1}))


def schedules():
    scheduler, queue = client("scheduler"), f"arn:aws:sqs:us-east-1:{SHOP}:newsletter"
    target = {"Arn": queue, "RoleArn": f"arn:aws:iam::{AUDIT}:role/schedule", "Input": "{}"}
    once = {
        "Name": "check-clients",
        "ScheduleExpression": "at(2099-01-01T10:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": target,
        "ActionAfterCompletion": "DELETE",
    }
    arn = scheduler.create_schedule(**once)["ScheduleArn"]
    assert refused(scheduler.create_schedule, **once) == "ConflictException"
    scheduler.update_schedule(**{**once, "ScheduleExpression": "at(2099-01-02T10:00:00)"})
    schedule = scheduler.get_schedule(Name="check-clients")
    assert (schedule["Arn"], schedule["ScheduleExpression"]) == (arn, "at(2099-01-02T10:00:00)"), schedule
    scheduler.delete_schedule(Name="check-clients", GroupName="default")
    for call in [scheduler.get_schedule, scheduler.delete_schedule]:
        assert refused(call, Name="check-clients") == "ResourceNotFoundException"
    stranger = {**target, "RoleArn": f"arn:aws:iam::{AUDIT}:role/stranger"}
    assert refused(scheduler.create_schedule, **{**once, "Target": stranger}) == "ValidationException"
    past = {**once, "ScheduleExpression": "at(2020-01-01T10:00:00)"}
    assert refused(scheduler.create_schedule, **past) == "ValidationException"


def what_is_not_there():
    assert refused(client("sts").get_session_token) == "InvalidAction"
    assert refused(client("organizations").list_handshakes_for_organization) == "UnknownOperationException"


if __name__ == "__main__":
    organization()
    root_tasks()
    events()
    tables()
    buckets()
    unlock_buckets()
    unlock_queues()
    schedules()
    what_is_not_there()
    print(f"{len(checked)} operations answer boto3 as the models of AWS say: {', '.join(sorted(checked))}")
