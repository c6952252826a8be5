// snapshot status, snapshot restore, hashkv.
#include <cstdio>
#include <memory>

#include "base/logging.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/cli/human_bytes.h"
#include "cmd/quorateutl/session.h"
#include "offline/db_status.h"
#include "offline/kv_hash.h"
#include "offline/restore.h"

namespace quorate::cmd {
namespace {

constexpr std::string_view kDefaultName = "default";
constexpr std::string_view kDefaultPeerUrl = "http://localhost:2380";

std::string Hex(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "%x", value);
  return text;
}

Cell Number(const char* table, const char* field, const char* json, int64_t value) {
  return {table, field, json, std::to_string(value), std::to_string(value)};
}

int ShowStatus(Session* session, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "snapshot status requires exactly one argument");
  }
  if (const auto refused = RefuseUnknownFormat(session->write_out)) return *refused;
  const std::string& path = arguments.values[0];
  session->WaitForDb(path, false);
  const auto status = offline::ReadDbStatus(&session->files, path, session->Report());
  session->StopProgress();
  if (!status.ok()) return Fail(status.status());
  std::vector<Cell> cells = {
      {"hash", "Hash", "hash", Hex(status->hash), std::to_string(status->hash)},
      Number("revision", "Revision", "revision", status->revision),
      Number("total keys", "Keys", "totalKey", static_cast<int64_t>(status->total_keys())),
      {"total size", "Size", "totalSize", HumanBytes(status->size_bytes),
       std::to_string(status->size_bytes)}};
  if (status->storage_version) {
    cells.push_back(
        {"version", "Version", "version", *status->storage_version, *status->storage_version, true});
  }
  return PrintCells(session->write_out, cells);
}

int ShowHash(Session* session, int64_t revision, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kError, "accepts 1 arg(s), received " + std::to_string(arguments.values.size()));
  }
  if (const auto refused = RefuseUnknownFormat(session->write_out)) return *refused;
  const std::string& path = arguments.values[0];
  session->WaitForDb(path, false);
  const auto hash = offline::ComputeKvHash(&session->files, path, revision, session->Report());
  session->StopProgress();
  if (!hash.ok()) return Fail(hash.status());
  return PrintCells(
      session->write_out,
      {Number("hash", "Hash", "hash", hash->hash),
       Number("hash revision", "Hash revision", "hashRevision", hash->hash_revision),
       Number("compact revision", "Compact revision", "compactRevision", hash->compact_revision)});
}

int RestoreSnapshot(Session* session, offline::RestoreOptions options, const std::string& peer_urls,
                    const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "snapshot restore requires exactly one argument");
  }
  if (const Status checked = offline::CheckRestoreOptions(options); !checked.ok()) {
    return Fail(ExitCode::kBadArguments, Message(checked));
  }
  options.snapshot_path = arguments.values[0];
  FinishRestoreFlags(&options, peer_urls);
  session->WaitForDb(options.snapshot_path, false);
  const auto restored = offline::Restore(&session->files, options, session->Report());
  session->StopProgress();
  if (!restored.ok()) return Fail(restored.status());
  LOG_INFO("restored snapshot", {"path", options.snapshot_path}, {"data-dir", options.data_dir},
           log::HexId("cluster-id", restored->cluster_id), log::HexId("local-member-id", restored->member_id),
           {"revision", restored->revision});
  return 0;
}

void AddRestoreCommand(CommandTree* tree, Session* session, CLI::App* snapshot) {
  struct Flags {
    offline::RestoreOptions options;
    std::string peer_urls;
  };
  const auto flags = std::make_shared<Flags>();
  CLI::App* command =
      tree->Add(snapshot, "restore", "Restores an etcd member snapshot to an etcd directory", "<filename>",
                [session, flags](const Arguments& arguments) {
                  return RestoreSnapshot(session, flags->options, flags->peer_urls, arguments);
                });
  AddRestoreFlags(command, &flags->options, &flags->peer_urls);
}

}  // namespace

void AddRestoreFlags(CLI::App* command, offline::RestoreOptions* options, std::string* peer_urls) {
  *peer_urls = kDefaultPeerUrl;
  options->initial_cluster = std::string(kDefaultName) + "=" + std::string(kDefaultPeerUrl);
  command->add_option("--data-dir", options->data_dir, "Path to the output data directory");
  command->add_option("--wal-dir", options->wal_dir,
                      "Path to the WAL directory (use --data-dir if none given)");
  command
      ->add_option("--initial-cluster", options->initial_cluster,
                   "Initial cluster configuration for restore bootstrap")
      ->default_str(options->initial_cluster);
  command
      ->add_option("--initial-cluster-token", options->initial_cluster_token,
                   "Initial cluster token for the etcd cluster during restore bootstrap")
      ->default_str(options->initial_cluster_token);
  command
      ->add_option("--initial-advertise-peer-urls", *peer_urls,
                   "List of this member's peer URLs to advertise to the rest of the cluster")
      ->default_str(*peer_urls);
  command->add_option("--name", options->name, "Human-readable name for this member")
      ->default_str(options->name);
  command->add_flag("--skip-hash-check", options->skip_hash_check,
                    "Ignore snapshot integrity hash value (required if copied from data directory)");
  command->add_option(
      "--initial-memory-map-size", options->map_bytes,
      "Initial memory map size of the database in bytes. It uses the default value if not defined or "
      "defined to 0");
  command->add_option("--bump-revision", options->revision_bump,
                      "How much to increase the latest revision after restore");
  command->add_flag(
      "--mark-compacted", options->mark_compacted,
      "Mark the latest revision after restore as the point of scheduled compaction (required if "
      "--bump-revision > 0, disallowed otherwise)");
}

void FinishRestoreFlags(offline::RestoreOptions* options, const std::string& peer_urls) {
  options->peer_urls = SplitCommas(peer_urls);
  if (options->data_dir.empty()) options->data_dir = options->name + ".etcd";
}

void AddSnapshotFileCommands(CommandTree* tree, Session* session, CLI::App* snapshot) {
  AddRestoreCommand(tree, session, snapshot);
  CLI::App* status =
      tree->Add(snapshot, "status", "Gets backend snapshot status of a given file", "<filename>",
                [session](const Arguments& arguments) { return ShowStatus(session, arguments); });
  status->footer(
      "DESCRIPTION:\n\tWhen --write-out is set to simple, this command prints out comma-separated status "
      "lists "
      "for each endpoint.\n\tThe items in the lists are hash, revision, total keys, total size.");
}

void AddSnapshotCommands(CommandTree* tree, Session* session) {
  CLI::App* snapshot = tree->Add(tree->root(), "snapshot", "Manages etcd node snapshots", "", {});
  AddSnapshotFileCommands(tree, session, snapshot);
  // As etcd 3.5's tool, which also has it for whoever looks for it here.
  tree->Add(snapshot, "save", "Stores an etcd node backend snapshot to a given file", "<filename>",
            [](const Arguments&) {
              return Fail(ExitCode::kBadArguments,
                          "In order to download snapshot use: `etcdctl snapshot save ...`");
            })
      ->group("");
  const auto revision = std::make_shared<int64_t>(0);
  CLI::App* hash = tree->Add(
      tree->root(), "hashkv", "Prints the KV history hash of a given file", "<filename>",
      [session, revision](const Arguments& arguments) { return ShowHash(session, *revision, arguments); });
  hash->add_option("--rev", *revision, "maximum revision to hash (default: latest revision)");
}

}  // namespace quorate::cmd
