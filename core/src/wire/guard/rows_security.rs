//! Who may do what, and how much: SASL, ACLs, delegation tokens, SCRAM, quotas.

use super::schema::{
    BOOLEAN, BYTES, FLOAT64, INT8, INT32, INT64, NEVER, Row, STRING, array, field, nullable,
};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest,
    CreateDelegationTokenRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeClientQuotasRequest,
    DescribeDelegationTokenRequest, DescribeUserScramCredentialsRequest, ExpireDelegationTokenRequest,
    RenewDelegationTokenRequest, SaslAuthenticateRequest, SaslHandshakeRequest, alter_client_quotas_request,
    alter_user_scram_credentials_request, create_acls_request, create_delegation_token_request,
    delete_acls_request, describe_client_quotas_request, describe_delegation_token_request,
    describe_user_scram_credentials_request,
};

pub(super) static ROWS: &[Row] = &[
    Row::of::<SaslHandshakeRequest>("SaslHandshake", NEVER, &[field("mechanism", STRING)]),
    Row::of::<SaslAuthenticateRequest>("SaslAuthenticate", 2, &[field("auth_bytes", BYTES)]),
    Row::of::<CreateAclsRequest>(
        "CreateAcls",
        2,
        &[field(
            "creations",
            array::<create_acls_request::AclCreation>(&[
                field("resource_type", INT8),
                field("resource_name", STRING),
                field("resource_pattern_type", INT8),
                field("principal", STRING),
                field("host", STRING),
                field("operation", INT8),
                field("permission_type", INT8),
            ]),
        )],
    ),
    Row::of::<DescribeAclsRequest>(
        "DescribeAcls",
        2,
        &[
            field("resource_type_filter", INT8),
            nullable("resource_name_filter", STRING),
            field("pattern_type_filter", INT8),
            nullable("principal_filter", STRING),
            nullable("host_filter", STRING),
            field("operation", INT8),
            field("permission_type", INT8),
        ],
    ),
    Row::of::<DeleteAclsRequest>(
        "DeleteAcls",
        2,
        &[field(
            "filters",
            array::<delete_acls_request::DeleteAclsFilter>(&[
                field("resource_type_filter", INT8),
                nullable("resource_name_filter", STRING),
                field("pattern_type_filter", INT8),
                nullable("principal_filter", STRING),
                nullable("host_filter", STRING),
                field("operation", INT8),
                field("permission_type", INT8),
            ]),
        )],
    ),
    Row::of::<CreateDelegationTokenRequest>(
        "CreateDelegationToken",
        2,
        &[
            nullable("owner_principal_type", STRING).since(3),
            nullable("owner_principal_name", STRING).since(3),
            field(
                "renewers",
                array::<create_delegation_token_request::CreatableRenewers>(&[
                    field("principal_type", STRING),
                    field("principal_name", STRING),
                ]),
            ),
            field("max_lifetime_ms", INT64),
        ],
    ),
    Row::of::<RenewDelegationTokenRequest>(
        "RenewDelegationToken",
        2,
        &[field("hmac", BYTES), field("renew_period_ms", INT64)],
    ),
    Row::of::<ExpireDelegationTokenRequest>(
        "ExpireDelegationToken",
        2,
        &[field("hmac", BYTES), field("expiry_time_period_ms", INT64)],
    ),
    Row::of::<DescribeDelegationTokenRequest>(
        "DescribeDelegationToken",
        2,
        &[nullable(
            "owners",
            array::<describe_delegation_token_request::DescribeDelegationTokenOwner>(&[
                field("principal_type", STRING),
                field("principal_name", STRING),
            ]),
        )],
    ),
    Row::of::<DescribeUserScramCredentialsRequest>(
        "DescribeUserScramCredentials",
        0,
        &[nullable(
            "users",
            array::<describe_user_scram_credentials_request::UserName>(&[field("name", STRING)]),
        )],
    ),
    Row::of::<AlterUserScramCredentialsRequest>(
        "AlterUserScramCredentials",
        0,
        &[
            field(
                "deletions",
                array::<alter_user_scram_credentials_request::ScramCredentialDeletion>(&[
                    field("name", STRING),
                    field("mechanism", INT8),
                ]),
            ),
            field(
                "upsertions",
                array::<alter_user_scram_credentials_request::ScramCredentialUpsertion>(&[
                    field("name", STRING),
                    field("mechanism", INT8),
                    field("iterations", INT32),
                    field("salt", BYTES),
                    field("salted_password", BYTES),
                ]),
            ),
        ],
    ),
    Row::of::<DescribeClientQuotasRequest>(
        "DescribeClientQuotas",
        1,
        &[
            field(
                "components",
                array::<describe_client_quotas_request::ComponentData>(&[
                    field("entity_type", STRING),
                    field("match_type", INT8),
                    nullable("match", STRING),
                ]),
            ),
            field("strict", BOOLEAN),
        ],
    ),
    Row::of::<AlterClientQuotasRequest>(
        "AlterClientQuotas",
        1,
        &[
            field(
                "entries",
                array::<alter_client_quotas_request::EntryData>(&[
                    field(
                        "entity",
                        array::<alter_client_quotas_request::EntityData>(&[
                            field("entity_type", STRING),
                            nullable("entity_name", STRING),
                        ]),
                    ),
                    field(
                        "ops",
                        array::<alter_client_quotas_request::OpData>(&[
                            field("key", STRING),
                            field("value", FLOAT64),
                            field("remove", BOOLEAN),
                        ]),
                    ),
                ]),
            ),
            field("validate_only", BOOLEAN),
        ],
    ),
];
