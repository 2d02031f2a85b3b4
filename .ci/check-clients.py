"""Walks through the simulated organization of tests/fixtures/organization.json with boto3, as the audit account and as
the management account, and holds each answer on the wire against the service's own model: boto3 itself would overlook a
member that AWS does not have."""

import json
import xml.etree.ElementTree as ElementTree

import boto3
from botocore.exceptions import ClientError

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
    if http_response.status_code != 200:
        return
    assert http_response.headers.get("x-amzn-requestid"), f"{model.name} has no request id"
    checked.add(model.name)
    if model.output_shape is None:
        return
    if model.service_model.protocol == "json":
        check_json(model.name, json.loads(http_response.content), model.output_shape)
        return
    for result in ElementTree.fromstring(http_response.content):
        if result.tag.endswith("Result"):
            check_xml(model.name, result, model.output_shape)


def client(service, **credentials):
    new = boto3.client(service, **credentials)
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
    for task in ["S3UnlockBucketPolicy", "SQSUnlockQueuePolicy"]:
        root_session(task)

    denied = client("iam", **root_session("IAMAuditRootUserCredentials", ACQUIRED))
    assert refused(denied.get_account_summary) == "AccessDenied"


def what_is_not_there():
    assert refused(client("sts").get_session_token) == "InvalidAction"
    assert refused(client("organizations").list_handshakes_for_organization) == "UnknownOperationException"


organization()
root_tasks()
what_is_not_there()
print(f"{len(checked)} operations answer boto3 as the models of AWS say: {', '.join(sorted(checked))}")
