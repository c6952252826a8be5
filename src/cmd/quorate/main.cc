// quorate: the server. See --help.
#include <google/protobuf/stubs/logging.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/log_limit.h"
#include "base/logging.h"
#include "base/mapping_faults.h"
#include "cmd/quorate/default_host.h"
#include "cmd/quorate/options.h"
#include "cmd/quorate/serve.h"

namespace {

// A notice of the parser, as a log line of its level.
void LogNotice(const quorate::cmd::Notice& notice) {
  std::string message = notice.message;
  for (const auto& [name, value] : notice.fields) message += ", " + name + ": " + value;
  QUORATE_LOG_(notice.level, message);
}

// What libprotobuf has to say would go to stderr as plain text, between lines that tools parse as JSON.
// Anybody can make it complain, by a request that is no UTF-8.
void LogProtobuf(google::protobuf::LogLevel level, const char* file, int line, const std::string& message) {
  namespace log = quorate::log;
  static log::LineLimit limit("of libprotobuf");
  if (!limit.Admit()) return;
  const bool grave = level >= google::protobuf::LOGLEVEL_ERROR;
  log::Write(grave ? log::Level::kError : log::Level::kWarn, file, line, message, {});
}

}  // namespace

int main(int argc, char** argv) {
  namespace log = quorate::log;
  namespace cmd = quorate::cmd;
  const std::vector<std::string> args(argv + 1, argv + argc);
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);

  cmd::ParseResult parsed = cmd::ParseOptions(argv[0], args, environment);
  if (parsed.options) {
    cmd::AdvertiseDefaultHost(cmd::DetectDefaultHost(), &*parsed.options, &parsed.notices);
    std::string error;
    if (!log::Configure(parsed.options->log, &error)) {
      std::fprintf(stderr, "quorate: %s\n", error.c_str());
      return 1;
    }
    google::protobuf::SetLogHandler(LogProtobuf);
    quorate::InstallMappingFaultHandler();
  }
  for (const cmd::Notice& notice : parsed.notices) LogNotice(notice);
  std::fputs(parsed.out.c_str(), stdout);
  std::fputs(parsed.err.c_str(), stderr);
  if (!parsed.options) return parsed.exit_code;

  if (const quorate::Status available = cmd::CheckAvailable(*parsed.options); !available.ok()) {
    LOG_ERROR("a setting can't be served", {"error", quorate::Message(available)});
    return 1;
  }
  return cmd::Serve(*parsed.options);
}
