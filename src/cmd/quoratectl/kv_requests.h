// Requests on keys as command lines give them: get, put and del by themselves and inside a transaction.
// Errors: kInvalidArgument ends the program with kBadArguments, kUnimplemented with kBadFeature; the texts
// are etcd's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cmd/cli/command_tree.h"
#include "cmd/cli/exit_code.h"
#include "rpc.pb.h"

namespace quorate::cmd {

struct GetFlags {
  std::string consistency = "l";
  std::string order;
  std::string sort_by;
  int64_t limit = 0;
  bool prefix = false;
  bool from_key = false;
  int64_t rev = 0;
  bool keys_only = false;
  bool count_only = false;
  bool print_value_only = false;
  int64_t min_create_rev = 0;
  int64_t max_create_rev = 0;
  int64_t min_mod_rev = 0;
  int64_t max_mod_rev = 0;
  bool stream = false;
};
void AddGetFlags(CLI::App* command, GetFlags* flags);
StatusOr<etcdserverpb::RangeRequest> GetRequest(const GetFlags& flags,
                                                const std::vector<std::string>& values);

struct PutFlags {
  std::string lease = "0";
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};
void AddPutFlags(CLI::App* command, PutFlags* flags);
// Whether a value that the line does not give is read from stdin.
enum class ValueFrom { kLine, kLineOrStdin };
StatusOr<etcdserverpb::PutRequest> PutRequestOf(const PutFlags& flags, const std::vector<std::string>& values,
                                                ValueFrom from);

struct DelFlags {
  bool prefix = false;
  bool prev_kv = false;
  bool from_key = false;
  bool range = false;
};
void AddDelFlags(CLI::App* command, DelFlags* flags);
StatusOr<etcdserverpb::DeleteRangeRequest> DelRequest(const DelFlags& flags,
                                                      const std::vector<std::string>& values);

// How the program ends with such an error.
ExitCode ExitCodeOf(const Status& status);

// Linearizable for "l", serializable for "s".
StatusOr<bool> IsSerializable(const std::string& consistency);

}  // namespace quorate::cmd
