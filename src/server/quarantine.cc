#include "server/quarantine.h"

#include <nlohmann/json.hpp>

#include "base/logging.h"
#include "cluster/member.h"
#include "server/own_directory.h"

namespace quorate::server {
namespace {

constexpr size_t kMarkBytesMax = 64 * 1024;

std::string Joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ",") + text;
  return out;
}

}  // namespace

std::string EncodeMark(const QuarantineMark& mark) {
  const nlohmann::json json = {{"member", cluster::IdText(mark.member_id)},
                               {"cluster", cluster::IdText(mark.cluster_id)},
                               {"proof", mark.proof},
                               {"term", mark.term},
                               {"commit", mark.commit},
                               {"last-index", mark.last_index},
                               {"since", mark.since_unix_seconds}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

StatusOr<QuarantineMark> DecodeMark(std::string_view text) {
  const Status malformed = DataLoss("no quarantine mark");
  if (text.size() > kMarkBytesMax) return malformed;
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return malformed;
  const auto string = [&](const char* key) {
    const auto field = json.find(key);
    return field != json.end() && field->is_string() ? field->get<std::string>() : std::string();
  };
  const auto number = [&](const char* key) {
    const auto field = json.find(key);
    return field != json.end() && field->is_number_unsigned() ? field->get<uint64_t>() : 0;
  };
  QuarantineMark mark;
  QUORATE_ASSIGN_OR_RETURN(mark.member_id, cluster::ParseId(string("member")));
  QUORATE_ASSIGN_OR_RETURN(mark.cluster_id, cluster::ParseId(string("cluster")));
  mark.proof = string("proof");
  mark.term = number("term");
  mark.commit = number("commit");
  mark.last_index = number("last-index");
  mark.since_unix_seconds = static_cast<int64_t>(number("since"));
  return mark;
}

StatusOr<std::optional<QuarantineMark>> QuarantineFile::Load(uint64_t member_id, uint64_t cluster_id) {
  const auto text = files_->ReadAll(path_);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  if (!text.ok()) return text.status();
  auto mark = DecodeMark(*text);
  if (!mark.ok()) {
    return QuarantineMark{
        member_id, cluster_id, "the mark of an earlier quarantine is in " + path_ + " and can't be read",
        0,         0,          0,
        0};
  }
  if (mark->member_id == member_id && mark->cluster_id == cluster_id) return *std::move(mark);
  // Of another member, in whose place this one was added.
  QUORATE_RETURN_IF_ERROR(Remove());
  return std::nullopt;
}

Status QuarantineFile::Remove() {
  if (!files_->Exists(path_)) return absl::OkStatus();
  LOG_INFO("removed a quarantine mark", {"path", path_});
  QUORATE_RETURN_IF_ERROR(files_->Remove(path_));
  return files_->SyncDirectory(path_.substr(0, path_.rfind('/')));
}

Status QuarantineFile::Store(const QuarantineMark& mark) {
  const std::string directory = path_.substr(0, path_.rfind('/'));
  QUORATE_RETURN_IF_ERROR(MakeOwnDirectory(files_, directory));
  return files_->WriteAtomically(path_, EncodeMark(mark), 0600);
}

std::string QuarantineReason(const QuarantineMark& mark) {
  return "member " + cluster::IdText(mark.member_id) +
         " is quarantined, its log went back in time: " + mark.proof + " (term " + std::to_string(mark.term) +
         ", commit " + std::to_string(mark.commit) + ", last index " + std::to_string(mark.last_index) +
         "); remove the member and add it again with an empty data directory";
}

std::vector<std::string> WayOut(uint64_t member_id, std::string_view name,
                                const std::vector<std::string>& peer_urls, std::string_view data_dir) {
  const std::string data(data_dir);
  return {
      "systemctl stop etcd  # here",
      "etcdctl member remove " + cluster::IdText(member_id) + "  # on a healthy member",
      "etcdctl member add " + std::string(name) + " --peer-urls " + Joined(peer_urls) +
          "  # on a healthy member; it prints ETCD_INITIAL_CLUSTER for this one",
      "mv " + data + " " + data + ".bak  # here",
      "systemctl start etcd  # here, with that ETCD_INITIAL_CLUSTER and ETCD_INITIAL_CLUSTER_STATE=existing",
  };
}

Status ErrQuarantined(std::string_view reason) { return Unavailable("etcdserver: " + std::string(reason)); }

}  // namespace quorate::server
