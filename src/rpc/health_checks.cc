#include "rpc/health_checks.h"

#include <memory>
#include <utility>

#include "base/log_limit.h"
#include "base/logging.h"

namespace quorate::rpc {
namespace {

std::string AlarmReason(server::AlarmType type) {
  switch (type) {
    case server::AlarmType::kNoSpace:
      return "ALARM NOSPACE";
    case server::AlarmType::kCorrupt:
      return "ALARM CORRUPT";
    case server::AlarmType::kNone:
      break;
  }
  return "ALARM UNKNOWN";
}

bool Excluded(const std::set<std::string>& excluded, server::AlarmType type) {
  return (type == server::AlarmType::kNoSpace && excluded.contains("NOSPACE")) ||
         (type == server::AlarmType::kCorrupt && excluded.contains("CORRUPT"));
}

}  // namespace

void HealthChecks::Health(const std::set<std::string>& excluded, bool serializable,
                          std::function<void(std::string)> done) {
  const auto finish = [this, done = std::move(done)](std::string reason) {
    ++(reason.empty() ? health_successes_ : health_failures_);
    if (!reason.empty()) LOG_WARN_LIMITED("serving /health false", {"reason", reason});
    done(std::move(reason));
  };
  if (member_.lost_log().quarantined()) return finish(member_.lost_log().quarantine_reason());
  for (const server::Alarm& alarm : member_.alarms().Get(server::AlarmType::kNone)) {
    if (!Excluded(excluded, alarm.type)) return finish(AlarmReason(alarm.type));
  }
  if (serializable) return finish({});
  if (member_.leader() == 0) return finish("RAFT NO LEADER");
  member_.WhenLinearizable([finish](const Status& status) {
    finish(status.ok() ? std::string() : "RANGE ERROR:" + std::string(Message(status)));
  });
}

const std::vector<std::string_view>& HealthChecks::Livez() {
  static const std::vector<std::string_view> names = {"serializable_read"};
  return names;
}

const std::vector<std::string_view>& HealthChecks::Readyz() {
  static const std::vector<std::string_view> names = {"data_corruption", "serializable_read",
                                                      "linearizable_read", "non_learner"};
  return names;
}

void HealthChecks::Run(std::string_view type, std::vector<std::string_view> names,
                       std::function<void(bool, std::string)> done) {
  struct State {
    std::vector<std::string> lines;
    size_t open = 0;
    bool ok = true;
    std::function<void(bool, std::string)> done;
  };
  auto state = std::make_shared<State>();
  state->lines.resize(names.size());
  state->open = names.size() + 1;
  state->done = std::move(done);
  const auto close = [state] {
    if (--state->open > 0) return;
    std::string text;
    for (const std::string& line : state->lines) text += line;
    state->done(state->ok, std::move(text));
  };
  for (size_t i = 0; i < names.size(); ++i) {
    RunOne(names[i],
           [this, state, close, i, name = names[i], kind = std::string(type)](const std::string& why) {
             Count(kind, name, why.empty());
             state->ok &= why.empty();
             state->lines[i] = why.empty() ? "[+]" + std::string(name) + " ok\n"
                                           : "[-]" + std::string(name) + " failed: " + why + "\n";
             close();
           });
  }
  close();
}

void HealthChecks::RunOne(std::string_view name, std::function<void(std::string)> done) {
  if (name == "data_corruption") {
    return done(member_.alarms().Has(server::AlarmType::kCorrupt) ? "alarm activated: CORRUPT" : "");
  }
  if (name == "non_learner") {
    return done(member_.is_learner() ? "not supported for learner" : "");
  }
  if (name == "linearizable_read") {
    return member_.WhenLinearizable([done = std::move(done)](const Status& status) {
      done(status.ok() ? std::string() : std::string(Message(status)));
    });
  }
  mvcc::RangeOptions options;
  options.key = "a";
  options.count_only = true;
  const auto result = member_.store().PlanRange(options);
  done(result.ok() ? std::string() : std::string(Message(result.status())));
}

void HealthChecks::Count(std::string_view type, std::string_view name, bool ok) {
  CheckCounts& counts = counts_[{std::string(type), std::string(name)}];
  counts.healthy = ok;
  ++(ok ? counts.successes : counts.errors);
}

}  // namespace quorate::rpc
