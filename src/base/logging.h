// Log lines of the original's shape (zap's JSON): {"level","ts","caller","msg", fields...}. One process-wide
// sink, set up once by the program before threads start; logging itself is thread-safe and never throws.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::log {

enum class Level { kDebug, kInfo, kWarn, kError, kPanic, kFatal };

// One key and its value, already rendered as JSON.
struct Field {
  std::string_view key;
  std::string json;

  Field(std::string_view k, std::string_view v);
  Field(std::string_view k, const std::string& v) : Field(k, std::string_view(v)) {}
  Field(std::string_view k, const char* v) : Field(k, std::string_view(v)) {}
  Field(std::string_view k, bool v) : key(k), json(v ? "true" : "false") {}
  Field(std::string_view k, int v) : key(k), json(std::to_string(v)) {}
  Field(std::string_view k, int64_t v) : key(k), json(std::to_string(v)) {}
  Field(std::string_view k, uint64_t v) : key(k), json(std::to_string(v)) {}
  Field(std::string_view k, double v);
  Field(std::string_view k, const std::vector<std::string>& v);
};
// A member or cluster ID: lower-case hex without padding, as a string.
Field HexId(std::string_view key, uint64_t id);
// Nanoseconds as Go prints a duration ("1.5s", "100ms").
Field Duration(std::string_view key, int64_t nanos);

// The caller is "folder/file.cc:line".
void Write(Level level, const char* file, int line, std::string_view message,
           std::initializer_list<Field> fields);

// A fatal line from within a signal handler: takes no memory and no lock. Neither caller nor message needs
// escaping; `fields` is JSON without its braces. Configure, or any line, must have come before.
void WriteFatalInSignal(std::string_view caller, std::string_view message, std::string_view fields);

bool Enabled(Level level);

// Setup, once, before other threads start. Outputs: "stderr", "stdout", or file paths.
struct Config {
  Level level = Level::kInfo;
  std::vector<std::string> outputs = {"stderr"};
  bool console = false;  // Plain text instead of JSON.
};
// False and *error when an output can't be opened.
bool Configure(const Config& config, std::string* error);

// A JSON string literal, quotes included; bytes that are not UTF-8 become U+FFFD.
std::string JsonString(std::string_view s);

}  // namespace quorate::log

#define QUORATE_LOG_(level, message, ...)                                       \
  do {                                                                          \
    if (::quorate::log::Enabled(level))                                         \
      ::quorate::log::Write(level, __FILE__, __LINE__, message, {__VA_ARGS__}); \
  } while (false)
#define LOG_DEBUG(message, ...) QUORATE_LOG_(::quorate::log::Level::kDebug, message, __VA_ARGS__)
#define LOG_INFO(message, ...) QUORATE_LOG_(::quorate::log::Level::kInfo, message, __VA_ARGS__)
#define LOG_WARN(message, ...) QUORATE_LOG_(::quorate::log::Level::kWarn, message, __VA_ARGS__)
#define LOG_ERROR(message, ...) QUORATE_LOG_(::quorate::log::Level::kError, message, __VA_ARGS__)
