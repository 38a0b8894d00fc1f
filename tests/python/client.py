"""A client that knows the daemon by reflection alone.

    python client.py unix:SOCKET PIPELINE ENVIRONMENT STEP
    PARAMD_CA=FILE PARAMD_TOKEN=TOKEN python client.py HOST:PORT PIPELINE …

Lists the services, calls each, and writes what it found as JSON. Secrets are
written as their length only.
"""

import json
import os
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


class Daemon:
    """Calls methods by their names."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.database = ProtoReflectionDescriptorDatabase(channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)

    def services(self) -> list[str]:
        """All services that the daemon names."""
        return sorted(self.database.get_services())

    def call(self, service: str, method: str, **request) -> dict:
        """One unary call."""
        found = self.pool.FindServiceByName(f"paramd.v1.{service}").methods_by_name[method]
        question = message_factory.GetMessageClass(found.input_type)
        answer = message_factory.GetMessageClass(found.output_type)
        ask = self.channel.unary_unary(
            f"/paramd.v1.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        message = json_format.ParseDict(request, question())
        return json_format.MessageToDict(ask(message, timeout=30), preserving_proto_field_name=True)


def connect(endpoint: str) -> grpc.Channel:
    """A channel to the socket, or with TLS and a token to an address."""
    if "PARAMD_CA" not in os.environ:
        return grpc.insecure_channel(endpoint)
    with open(os.environ["PARAMD_CA"], "rb") as file:
        tls = grpc.ssl_channel_credentials(file.read())
    token = grpc.access_token_call_credentials(os.environ["PARAMD_TOKEN"])
    return grpc.secure_channel(endpoint, grpc.composite_channel_credentials(tls, token))


def main() -> None:
    """Goes through the life of a run."""
    endpoint, pipeline, environment, step = sys.argv[1:]
    channel = connect(endpoint)
    daemon = Daemon(channel)
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    run = {"pipeline": pipeline, "run_id": "from-python"}

    found = {
        "services": daemon.services(),
        "serving": health.status == health_pb2.HealthCheckResponse.SERVING,
        "pipelines": daemon.call("PipelineService", "ListPipelines")["pipelines"],
    }
    daemon.call("PipelineService", "GetPipeline", pipeline=pipeline)
    daemon.call("RunService", "ExplainRun", pipeline=pipeline, environment=environment)
    found["result"] = daemon.call("RunService", "ResolveRun", run=run, environment=environment)["result"]
    context = daemon.call("ContextService", "GetContext", run=run, step=step)["context"]
    found["references"] = sorted(context["secrets"])
    revealed = daemon.call("ContextService", "RevealSecrets", run=run, step=step, all=True)
    found["revealed"] = {
        secret["name"]: len(secret["payload"]["data"]) for secret in revealed["plain"]["secrets"]
    }
    daemon.call("RunService", "CompleteRun", run=run, outcome="RUN_OUTCOME_SUCCEEDED")
    found["state"] = daemon.call("RunService", "GetRun", run=run)["run"]["state"]
    events = daemon.call("AuditService", "ListEvents", filter={"pipeline": pipeline})["events"]
    found["actions"] = [event["action"] for event in events]
    found["defects"] = [
        chain.get("defect") for chain in daemon.call("AuditService", "VerifyLog")["chains"] if "defect" in chain
    ]
    try:
        daemon.call("ContextService", "RevealSecrets", run=run, step=step, all=True)
    except grpc.RpcError as error:
        found["after the end"] = error.code().name
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
