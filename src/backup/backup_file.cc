#include "backup/backup_file.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "backup/utc_time.h"
#include "cluster/member.h"

namespace quorate::backup {
namespace {

constexpr std::string_view kPrefix = "backup-";
constexpr size_t kNoteBytesMax = 64 * 1024;

// Takes "<mark><text>" up to the next '-' off `rest`.
std::optional<std::string_view> Take(std::string_view* rest, char mark) {
  if (rest->empty() || rest->front() != mark) return std::nullopt;
  rest->remove_prefix(1);
  const size_t end = std::min(rest->find('-'), rest->size());
  const std::string_view text = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return text;
}

std::optional<int64_t> Decimal(std::string_view text) {
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// Reads unsigned numbers of a JSON object; remembers whether all were there.
class Fields {
 public:
  explicit Fields(const nlohmann::json& json) : json_(json) {}

  uint64_t Number(const char* key) {
    const auto found = json_.find(key);
    if (found != json_.end() && found->is_number_unsigned()) return found->get<uint64_t>();
    complete_ = false;
    return 0;
  }
  std::optional<uint32_t> Crc(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_number_unsigned()) return std::nullopt;
    const uint64_t value = found->get<uint64_t>();
    if (value > std::numeric_limits<uint32_t>::max()) return std::nullopt;
    return static_cast<uint32_t>(value);
  }
  std::string Text(const char* key) {
    const auto found = json_.find(key);
    if (found != json_.end() && found->is_string()) return found->get<std::string>();
    complete_ = false;
    return {};
  }
  bool complete() const { return complete_; }

 private:
  const nlohmann::json& json_;
  bool complete_ = true;
};

}  // namespace

std::string Stem(const BackupName& name) {
  return std::string(kPrefix) + CompactUtcText(name.taken_unix_nanos) + "-r" + std::to_string(name.revision) +
         "-m" + cluster::IdText(name.member_id) + "-c" + cluster::IdText(name.cluster_id);
}

std::optional<BackupName> ParseStem(std::string_view stem) {
  if (!stem.starts_with(kPrefix)) return std::nullopt;
  std::string_view rest = stem.substr(kPrefix.size());
  const size_t dash = rest.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto taken = ParseCompactUtc(rest.substr(0, dash));
  rest.remove_prefix(dash + 1);
  const auto revision = Take(&rest, 'r');
  const auto member = Take(&rest, 'm');
  const auto cluster = Take(&rest, 'c');
  if (!taken.ok() || !revision || !member || !cluster) return std::nullopt;
  const auto number = Decimal(*revision);
  const auto member_id = cluster::ParseId(*member);
  const auto cluster_id = cluster::ParseId(*cluster);
  if (!number || !member_id.ok() || !cluster_id.ok()) return std::nullopt;
  const BackupName name{*taken, *number, *member_id, *cluster_id};
  if (Stem(name) != stem) return std::nullopt;
  return name;
}

std::optional<BackupName> ParseName(std::string_view file_name, std::string_view suffix) {
  if (!file_name.ends_with(suffix)) return std::nullopt;
  return ParseStem(file_name.substr(0, file_name.size() - suffix.size()));
}

std::string EncodeNote(const BackupNote& note) {
  nlohmann::ordered_json json = {{"taken", UtcText(note.name.taken_unix_nanos)},
                                 {"revision", note.name.revision},
                                 {"compactRevision", note.compact_revision},
                                 {"raftIndex", note.raft_index},
                                 {"raftTerm", note.raft_term},
                                 {"member", cluster::IdText(note.name.member_id)},
                                 {"cluster", cluster::IdText(note.name.cluster_id)},
                                 {"size", note.size_bytes},
                                 {"sha256", note.sha256}};
  if (note.kv_hash) json["hashKV"] = *note.kv_hash;
  if (note.entry_crc) json["entryCRC"] = *note.entry_crc;
  return json.dump() + "\n";
}

StatusOr<BackupNote> DecodeNote(std::string_view text) {
  const Status malformed = DataLoss("is not the note of a backup");
  if (text.size() > kNoteBytesMax) return malformed;
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return malformed;
  Fields fields(json);
  BackupNote note;
  const auto taken = ParseUtc(fields.Text("taken"));
  const auto member = cluster::ParseId(fields.Text("member"));
  const auto cluster = cluster::ParseId(fields.Text("cluster"));
  const uint64_t revision = fields.Number("revision");
  if (!taken.ok() || !member.ok() || !cluster.ok()) return malformed;
  if (revision > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return malformed;
  note.name = {*taken, static_cast<int64_t>(revision), *member, *cluster};
  note.raft_index = fields.Number("raftIndex");
  note.raft_term = fields.Number("raftTerm");
  note.size_bytes = fields.Number("size");
  note.sha256 = fields.Text("sha256");
  note.kv_hash = fields.Crc("hashKV");
  note.entry_crc = fields.Crc("entryCRC");
  const auto compacted = json.find("compactRevision");
  if (compacted == json.end() || !compacted->is_number_integer() || !fields.complete()) return malformed;
  note.compact_revision = compacted->get<int64_t>();
  return note;
}

}  // namespace quorate::backup
