// What a cluster looks like from outside at one moment: its members, and what each says of itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::cmd {

struct MemberState {
  // As the cluster lists it.
  uint64_t id = 0;
  std::string name;  // Empty: not started yet.
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  bool learner = false;

  // What the member itself answered. Nothing below is known where it gave no answer.
  bool reachable = false;
  // At each of its URLs the connection was refused: as far as can be told from here, it does not run. One
  // that only did not answer in time, or refused a certificate, may take part in every vote.
  bool down = false;
  // It answered a read that needs a majority (a learner: that it follows a leader). Alarms don't count: a
  // member with one votes, and answers.
  bool serving = false;
  std::string trouble;  // Why it is not serving.
  bool quarantined = false;
  bool wants_login = false;  // It does not tell how it is without another user (--user).
  std::string url;           // Its client URL that it answered at.
  std::string version;
  uint64_t leader = 0;
  uint64_t term = 0;
  uint64_t last_index = 0;
  uint64_t applied_index = 0;
  int64_t revision = 0;
  int64_t db_bytes = 0;
  int64_t db_bytes_in_use = 0;
  int64_t quota_bytes = 0;  // 0: it does not say.
  std::vector<std::string> errors;
  std::optional<int64_t> certificate_end;  // Unix seconds.
  // How far the member's clock surely is ahead (negative: behind), in seconds; 0 within what can be told.
  std::optional<int64_t> clock_ahead;
  std::optional<double> started_at;  // Unix seconds; from the metrics.
  std::string program;               // "quorate", "etcd"; empty: not known.

  bool started() const { return !name.empty(); }
  bool voter() const { return !learner; }
};

struct AlarmState {
  uint64_t member = 0;
  std::string type;  // "NOSPACE", "CORRUPT".
};

struct ClusterState {
  uint64_t id = 0;
  std::string version;               // "3.4.0"; empty: not known.
  std::vector<MemberState> members;  // Ascending by name, then ID.
  std::vector<AlarmState> alarms;
  std::string alarms_trouble;   // Why the alarms are not known; empty: they are.
  std::string version_trouble;  // Why the version is not known, where it should be.

  // The one that most serving members name; 0: none.
  uint64_t Leader() const;
  uint64_t LastIndex() const;
  size_t Voters() const;
  size_t ServingVoters() const;
  const MemberState* Find(uint64_t id) const;
  // Another learner than this one; null: there is none.
  const MemberState* OtherLearner(uint64_t id) const;
  // By name, or by ID in hexadecimal. Null: none, or several have the name.
  const MemberState* FindByNameOrId(std::string_view text) const;
  bool HasAlarm(uint64_t member, std::string_view type) const;
};

// "etcd_1 (8e9e05c52164694d)", or the ID alone.
std::string Label(const MemberState& member);
// More than half of so many voters.
size_t Majority(size_t voters);

}  // namespace quorate::cmd
