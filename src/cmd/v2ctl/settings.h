// The global flags of the second-generation client, and the variables that stand for those not given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "cmd/v2ctl/go_flags.h"
#include "cmd/v2ctl/v2ctl.h"

namespace quorate::cmd::v2 {

struct Settings {
  bool debug = false;
  bool no_sync = false;
  bool insecure_discovery = false;
  bool help = false;
  bool version = false;
  std::string output = "simple";
  std::string discovery_srv;
  std::string discovery_srv_name;  // By variable only: etcd's client declares no flag for it.
  std::string peers;
  std::string endpoint;
  std::string endpoints;
  std::string cert_file;
  std::string key_file;
  std::string ca_file;
  std::string username;                         // "name" or "name:password".
  int64_t timeout_nanos = 2'000'000'000;        // Of one request; 0: none.
  int64_t total_timeout_nanos = 5'000'000'000;  // Of a command's requests.

  GoFlags Flags();
  // Fills what no flag gave.
  void TakeEnvironment(const Environment& environment);
  // As they were given; without any the default ones.
  std::vector<std::string> GivenEndpoints() const;
};

// A name by itself, or each that a flag goes by, of flags that only this generation has.
bool IsFlagOfV2Only(std::string_view name);

}  // namespace quorate::cmd::v2
