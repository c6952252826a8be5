#include "backup/others_backups.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "server/member.h"

namespace quorate::backup {
namespace {

constexpr int64_t kAskNanos = int64_t{5} * 1'000'000'000;
constexpr size_t kAnswerBytesMax = 4096;

}  // namespace

std::string EncodeAnswer(const BackupAnswer& answer) {
  nlohmann::json json = {{"ageNanos", answer.age_nanos.value_or(-1)}, {"running", answer.running}};
  if (answer.newest_unix_nanos) json["takenUnixNanos"] = *answer.newest_unix_nanos;
  return json.dump() + "\n";
}

BackupAnswer DecodeAnswer(std::string_view text) {
  if (text.size() > kAnswerBytesMax) return {};
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return {};
  const auto number = [&](const char* name) -> std::optional<int64_t> {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_integer() || found->get<int64_t>() < 0) return std::nullopt;
    return found->get<int64_t>();
  };
  const auto running = json.find("running");
  return {number("ageNanos"), number("takenUnixNanos"),
          running != json.end() && running->is_boolean() && running->get<bool>()};
}

void OthersBackups::Ask(std::function<void()> done) {
  answers_ = {};
  std::vector<uint64_t> others;
  for (const auto& [id, other] : member_.membership().members()) {
    if (id != member_.id()) others.push_back(id);
  }
  if (member_.transport() == nullptr || others.empty()) return OnAll(done);
  open_ = others.size();
  for (const uint64_t id : others) {
    server::PeerCall call;
    call.path = kPeerPath;
    member_.transport()->Call(
        id, std::move(call), kAskNanos,
        [this, done, alive = std::weak_ptr(alive_)](const StatusOr<server::PeerAnswer>& answer) {
          if (alive.expired()) return;
          OnAnswer(answer);
          if (--open_ == 0) OnAll(done);
        });
  }
}

void OthersBackups::OnAnswer(const StatusOr<server::PeerAnswer>& answer) {
  if (!answer.ok() || answer->status != 200) return;
  const BackupAnswer one = DecodeAnswer(answer->body);
  if (one.age_nanos) {
    answers_.age_nanos = std::min(*one.age_nanos, answers_.age_nanos.value_or(*one.age_nanos));
  }
  answers_.newest_unix_nanos = std::max(answers_.newest_unix_nanos, one.newest_unix_nanos);
  answers_.running |= one.running;
}

void OthersBackups::OnAll(const std::function<void()>& done) {
  const int64_t now = member_.now();
  if (answers_.age_nanos) {
    taken_nanos_ = std::max(taken_nanos_.value_or(INT64_MIN), now - *answers_.age_nanos);
  }
  if (answers_.newest_unix_nanos && *answers_.newest_unix_nanos <= clock_.WallNanos() + kClockSkewNanos) {
    newest_unix_nanos_ = std::max(newest_unix_nanos_, answers_.newest_unix_nanos);
  }
  if (!answers_.running) began_nanos_.reset();
  if (answers_.running && !began_nanos_) began_nanos_ = now;
  done();
}

std::optional<int64_t> OthersBackups::AgeNanos() const {
  if (!taken_nanos_) return std::nullopt;
  return member_.now() - *taken_nanos_;
}

bool OthersBackups::AreAtIt(int64_t nanos_max) const {
  return began_nanos_ && member_.now() - *began_nanos_ <= nanos_max;
}

}  // namespace quorate::backup
