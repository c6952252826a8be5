#include "server/rejoin.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/logging.h"
#include "server/own_directory.h"

namespace quorate::server {
namespace {

constexpr size_t kFileBytesMax = 1024 * 1024;
constexpr int kRetryTicks = 10;
constexpr int kRetryTicksMax = 100;
constexpr std::array<std::string_view, 4> kStepNames = {"remove", "add", "move", "join"};

std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::vector<std::string> Sorted(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  return texts;
}

bool LacksRight(const Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) ||
         absl::IsInvalidArgument(status);
}

const cluster::Member* FindMember(const std::vector<cluster::Member>& members, uint64_t id) {
  const auto found =
      std::find_if(members.begin(), members.end(), [id](const cluster::Member& m) { return m.id == id; });
  return found == members.end() ? nullptr : &*found;
}

// A directory that was moved already is missing, and that is fine.
Status MoveAside(FileSystem* files, std::string path, uint64_t old_id) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (!files->Exists(path)) return absl::OkStatus();
  std::string aside = path + ".lost-" + cluster::IdText(old_id);
  for (int n = 2; files->Exists(aside); ++n) {
    aside = path + ".lost-" + cluster::IdText(old_id) + "-" + std::to_string(n);
  }
  LOG_INFO("moved a directory of the lost member aside", {"from", path}, {"to", aside});
  QUORATE_RETURN_IF_ERROR(files->Rename(path, aside));
  return files->SyncDirectory(Parent(path));
}

}  // namespace

// ---- the file ----

std::string EncodeRejoin(const RejoinState& state) {
  const nlohmann::json json = {{"step", kStepNames[static_cast<size_t>(state.step)]},
                               {"old", cluster::IdText(state.old_id)},
                               {"new", cluster::IdText(state.new_id)},
                               {"promote", state.promote},
                               {"name", state.name},
                               {"peer-urls", state.peer_urls},
                               {"endpoints", state.endpoints},
                               {"initial-cluster", state.initial_cluster}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

StatusOr<RejoinState> DecodeRejoin(std::string_view text) {
  const Status malformed = DataLoss("no state of a rejoin");
  if (text.size() > kFileBytesMax) return malformed;
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return malformed;
  const auto string = [&](const char* key) {
    const auto field = json.find(key);
    return field != json.end() && field->is_string() ? field->get<std::string>() : std::string();
  };
  const auto strings = [&](const char* key) {
    std::vector<std::string> out;
    const auto field = json.find(key);
    if (field == json.end() || !field->is_array()) return out;
    for (const nlohmann::json& item : *field) {
      if (item.is_string()) out.push_back(item.get<std::string>());
    }
    return out;
  };
  RejoinState state;
  const auto step = std::find(kStepNames.begin(), kStepNames.end(), string("step"));
  if (step == kStepNames.end()) return malformed;
  state.step = static_cast<RejoinStep>(step - kStepNames.begin());
  QUORATE_ASSIGN_OR_RETURN(state.old_id, cluster::ParseId(string("old")));
  QUORATE_ASSIGN_OR_RETURN(state.new_id, cluster::ParseId(string("new")));
  const auto promote = json.find("promote");
  state.promote = promote == json.end() || !promote->is_boolean() || promote->get<bool>();
  state.name = string("name");
  state.peer_urls = strings("peer-urls");
  state.endpoints = strings("endpoints");
  state.initial_cluster = string("initial-cluster");
  const bool joins = state.step == RejoinStep::kMove || state.step == RejoinStep::kJoin;
  if (joins && (state.new_id == 0 || state.initial_cluster.empty())) return malformed;
  return state;
}

RejoinFile::RejoinFile(FileSystem* files, const std::string& data_dir)
    : files_(files), path_(OwnDirectory(data_dir) + "/rejoin.json") {}

StatusOr<std::optional<RejoinState>> RejoinFile::Load() const {
  const auto text = files_->ReadAll(path_);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  if (!text.ok()) return text.status();
  auto state = DecodeRejoin(*text);
  if (!state.ok()) {
    return DataLoss(path_ +
                    " says how far the member had come with joining anew and can't be read; look at "
                    "'member list', finish by hand (docs/lost-log.md), and remove the file");
  }
  return *std::move(state);
}

Status RejoinFile::Store(const RejoinState& state) {
  QUORATE_RETURN_IF_ERROR(MakeOwnDirectory(files_, Parent(path_)));
  return files_->WriteAtomically(path_, EncodeRejoin(state), 0600);
}

Status RejoinFile::Remove() {
  if (!files_->Exists(path_)) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(files_->Remove(path_));
  return files_->SyncDirectory(Parent(path_));
}

StatusOr<std::optional<RejoinState>> PrepareRejoin(FileSystem* files, const std::string& data_dir,
                                                   const std::string& wal_dir) {
  RejoinFile file(files, data_dir);
  QUORATE_ASSIGN_OR_RETURN(std::optional<RejoinState> state, file.Load());
  if (!state) return std::nullopt;
  if (state->step == RejoinStep::kMove) {
    // The WAL first: a member directory without one would look like a new member's.
    if (!wal_dir.empty()) QUORATE_RETURN_IF_ERROR(MoveAside(files, wal_dir, state->old_id));
    QUORATE_RETURN_IF_ERROR(MoveAside(files, Parent(OwnDirectory(data_dir)) + "/member", state->old_id));
    state->step = RejoinStep::kJoin;
    QUORATE_RETURN_IF_ERROR(file.Store(*state));
  }
  if (state->step == RejoinStep::kJoin) return state;
  return std::nullopt;
}

std::string InitialClusterText(const std::vector<cluster::Member>& members, uint64_t own_id,
                               std::string_view own_name) {
  std::string text;
  for (const cluster::Member& member : members) {
    const std::string name = member.id == own_id ? std::string(own_name)
                             : member.started()  ? member.attributes.name
                                                 : cluster::IdText(member.id);
    for (const std::string& url : member.peer_urls) {
      if (!text.empty()) text += ',';
      text.append(name).append("=").append(url);
    }
  }
  return text;
}

// ---- the steps ----

Rejoin::Rejoin(FileSystem* files, ClusterAdmin* admin, Self self, bool quarantined, Hooks hooks)
    : admin_(*admin),
      self_(std::move(self)),
      quarantined_(quarantined),
      hooks_(std::move(hooks)),
      file_(files, self_.data_dir) {}

Status Rejoin::Open() {
  QUORATE_ASSIGN_OR_RETURN(state_, file_.Load());
  // A member that was lost again begins anew.
  const bool again = state_ && (state_->old_id != self_.id || state_->step == RejoinStep::kJoin);
  if (quarantined_ && again) state_.reset();
  if (state_) admin_.SetEndpoints(state_->endpoints);
  // Nothing was begun, or it was about another member that this one is not.
  if (!quarantined_ && (!state_ || state_->step != RejoinStep::kJoin)) finished_ = true;
  return absl::OkStatus();
}

template <typename F>
auto Rejoin::Guarded(F f) {
  open_ = true;
  return [this, f = std::move(f), alive = std::weak_ptr<char>(alive_)](auto&& answer) {
    if (alive.expired()) return;
    open_ = false;
    f(answer);
  };
}

void Rejoin::Tick() {
  if (finished_ || open_ || (wait_ticks_ > 0 && --wait_ticks_ > 0)) return;
  if (!state_) return Check();
  switch (state_->step) {
    case RejoinStep::kRemove:
      return RemoveOld();
    case RejoinStep::kAdd:
      return AddNew();
    case RejoinStep::kMove:
      return hooks_.restart();
    case RejoinStep::kJoin:
      return PromoteNew();
  }
}

void Rejoin::Check() {
  hooks_.discover(Guarded([this](const std::vector<std::string>& endpoints) {
    if (endpoints.empty()) return Retry("find other members", Unavailable("none of them answers"));
    admin_.SetEndpoints(endpoints);
    admin_.List(Guarded([this](const StatusOr<ClusterAdmin::Members>& members) {
      if (!members.ok()) return Retry("list the members", members.status());
      CheckMajority(*members, 0, 0);
    }));
  }));
}

// Asks one voter after the other, from `next` on.
void Rejoin::CheckMajority(const std::vector<cluster::Member>& members, size_t next, size_t healthy) {
  while (next < members.size() && (members[next].id == self_.id || members[next].is_learner)) ++next;
  if (next < members.size()) {
    admin_.CheckHealth(members[next].attributes.client_urls,
                       Guarded([this, members, next, healthy](const Status& status) {
                         CheckMajority(members, next + 1, healthy + (status.ok() ? 1 : 0));
                       }));
    return;
  }
  const auto voters = static_cast<size_t>(
      std::count_if(members.begin(), members.end(), [](const auto& member) { return !member.is_learner; }));
  if (healthy < voters / 2 + 1) {
    return Retry("rejoin",
                 FailedPrecondition("only " + std::to_string(healthy) + " of " + std::to_string(voters) +
                                    " voters are healthy without this member: to remove it would "
                                    "endanger the majority"));
  }
  BeginRemoval(members);
}

void Rejoin::BeginRemoval(const std::vector<cluster::Member>& members) {
  RejoinState state;
  state.old_id = self_.id;
  state.name = self_.name;
  state.peer_urls = self_.peer_urls;
  if (const cluster::Member* self = FindMember(members, self_.id)) {
    state.promote = !self->is_learner;
    state.peer_urls = self->peer_urls;
  }
  for (const cluster::Member& member : members) {
    if (member.id == self_.id) continue;
    const auto& urls = member.attributes.client_urls;
    state.endpoints.insert(state.endpoints.end(), urls.begin(), urls.end());
  }
  state_ = std::move(state);
  if (Save(RejoinStep::kRemove)) RemoveOld();
}

void Rejoin::RemoveOld() {
  admin_.Remove(state_->old_id, Guarded([this](const Status& status) {
                  if (!status.ok() && !absl::IsNotFound(status)) return Retry("be removed", status);
                  LOG_INFO("the quarantined member was removed from its cluster",
                           log::HexId("removed-member-id", state_->old_id));
                  if (Save(RejoinStep::kAdd)) AddNew();
                }));
}

// An addition may have been made although its answer was lost: the list tells.
void Rejoin::AddNew() {
  admin_.List(Guarded([this](const StatusOr<ClusterAdmin::Members>& members) {
    if (!members.ok()) return Retry("list the members", members.status());
    Adopt(*members);
    if (state_->step != RejoinStep::kAdd) return;
    admin_.AddLearner(state_->peer_urls, Guarded([this](const Status& status) {
                        if (!status.ok()) return Retry("be added as a learner", status);
                        AddNew();
                      }));
  }));
}

void Rejoin::Adopt(const std::vector<cluster::Member>& members) {
  for (const cluster::Member& member : members) {
    const bool ours = member.id != state_->old_id && !member.started() &&
                      Sorted(member.peer_urls) == Sorted(state_->peer_urls);
    if (!ours) continue;
    state_->new_id = member.id;
    state_->initial_cluster = InitialClusterText(members, member.id, state_->name);
    LOG_INFO("added to the cluster as a learner under a new ID", log::HexId("member-id", member.id));
    if (Save(RejoinStep::kMove)) hooks_.restart();
    return;
  }
}

void Rejoin::PromoteNew() {
  if (self_.id != state_->new_id) {
    return Finish("gave up rejoining: the member here is another than the one that was added");
  }
  admin_.List(Guarded([this](const StatusOr<ClusterAdmin::Members>& members) {
    if (!members.ok()) return Retry("list the members", members.status());
    const cluster::Member* self = FindMember(*members, state_->new_id);
    if (self == nullptr) return Finish("gave up rejoining: this member was removed meanwhile");
    if (!self->is_learner || !state_->promote) return Finish("rejoined the cluster");
    admin_.Promote(state_->new_id, Guarded([this](const Status& status) {
                     // Most often not caught up yet.
                     if (!status.ok()) return Retry("be promoted", status);
                     Finish("rejoined the cluster");
                   }));
  }));
}

void Rejoin::Finish(std::string_view how) {
  LOG_INFO(how, log::HexId("old-member-id", state_->old_id), log::HexId("member-id", self_.id));
  finished_ = true;
  if (const Status removed = file_.Remove(); !removed.ok()) {
    LOG_WARN("failed to remove the state of a finished rejoin", {"error", Message(removed)});
  }
}

// False, to be tried again, when the disk does not take it.
bool Rejoin::Save(RejoinStep step) {
  RejoinState next = *state_;
  next.step = step;
  if (const Status stored = file_.Store(next); !stored.ok()) {
    Retry("write how far it has come", stored);
    return false;
  }
  state_ = std::move(next);
  failures_ = 0;
  blocked_.clear();
  return true;
}

void Rejoin::Retry(std::string_view what, const Status& status) {
  ++failures_;
  wait_ticks_ = std::min(failures_ * kRetryTicks, kRetryTicksMax);
  const bool blocked = LacksRight(status);
  if (failures_ > 1 && blocked == !blocked_.empty()) return;
  blocked_ = blocked ? std::string(Message(status)) : "";
  if (!blocked) {
    LOG_WARN("rejoining waits", {"failed-to", what}, {"error", Message(status)});
    return;
  }
  LOG_ERROR(
      "rejoining lacks the right; give a user with the root role (--recover-user-file), or go the way "
      "out by hand",
      {"failed-to", what}, {"error", Message(status)},
      {"way-out", WayOut(self_.id, self_.name, self_.peer_urls, self_.data_dir)});
}

}  // namespace quorate::server
