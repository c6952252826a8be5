#include "cmd/procedures/notebook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace quorate::cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class NotebookTest : public testing::Test {
 protected:
  NotebookTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("quorate_notebook." + std::to_string(getpid()))) {}
  ~NotebookTest() override { std::filesystem::remove_all(directory_); }

  const std::filesystem::path directory_;
};

TEST_F(NotebookTest, KeepsNotes) {
  const Notebook notebook(directory_ / "deep", 0xabc, "replace-a/b");
  EXPECT_EQ(notebook.Read().value(), std::nullopt);
  ASSERT_TRUE(notebook.Write({{"a", "1"}, {"b", "\"x\""}}).ok());
  EXPECT_EQ(notebook.Read().value()->at("b"), "\"x\"");
  EXPECT_THAT(InterruptedProcedures(directory_ / "deep", 0xabc, "replace-").value(), ElementsAre("a_b"));
  EXPECT_THAT(InterruptedProcedures(directory_ / "deep", 0xabd, "replace-").value(), IsEmpty());
  EXPECT_THAT(InterruptedProcedures(directory_ / "nosuch", 0xabc, "replace-").value(), IsEmpty());
  ASSERT_TRUE(notebook.Remove().ok());
  ASSERT_TRUE(notebook.Remove().ok());
  EXPECT_EQ(notebook.Read().value(), std::nullopt);
}

TEST_F(NotebookTest, DamageIsTold) {
  const Notebook notebook(directory_, 1, "x");
  ASSERT_TRUE(notebook.Write({}).ok());
  for (const char* text : {"", "[]", "{\"a\":1}", "{\"a\":"}) {
    std::ofstream(notebook.path()) << text;
    EXPECT_TRUE(absl::IsDataLoss(notebook.Read().status())) << text;
  }
}

// Whoever can write a note makes a later call act on it.
TEST_F(NotebookTest, WhatOthersMayHaveWrittenIsNotBelieved) {
  const Notebook notebook(directory_, 1, "x");
  ASSERT_TRUE(notebook.Write({{"a", "1"}}).ok());
  struct stat facts {};
  ASSERT_EQ(stat(directory_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0700U);
  ASSERT_EQ(chmod(notebook.path().c_str(), 0666), 0);
  EXPECT_THAT(std::string(Message(notebook.Read().status())), HasSubstr("is not believed"));
  ASSERT_EQ(chmod(notebook.path().c_str(), 0600), 0);
  EXPECT_TRUE(notebook.Read().ok());
  // A link may lead anywhere; "not there" would be wrong, too.
  const std::string elsewhere = directory_ / "elsewhere";
  std::filesystem::rename(notebook.path(), elsewhere);
  std::filesystem::create_symlink(elsewhere, notebook.path());
  EXPECT_FALSE(notebook.Read().ok());
}

TEST_F(NotebookTest, WhatCannotBeReadIsNotAbsent) {
  std::filesystem::create_directories(directory_);
  const std::string file = directory_ / "file";
  std::ofstream(file) << "x";
  EXPECT_TRUE(absl::IsUnavailable(Notebook(file, 1, "x").Read().status()));
  EXPECT_TRUE(absl::IsUnavailable(InterruptedProcedures(file, 1, "x").status()));
  EXPECT_TRUE(absl::IsUnavailable(ProcedureLock::Take(file, 1, "x").status()));
}

TEST(NotesDirectoryTest, IsNeverACommonOne) {
  const auto kept = [](const char* name) {
    const char* const value = getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  const std::string home = kept("HOME");
  const std::string state = kept("XDG_STATE_HOME");
  unsetenv("HOME");
  unsetenv("XDG_STATE_HOME");
  EXPECT_EQ(NotesDirectory("/given").value(), "/given");
  EXPECT_THAT(std::string(Message(NotesDirectory("").status())), HasSubstr("--state-dir"));
  setenv("HOME", "/home/one", 1);
  EXPECT_EQ(NotesDirectory("").value(), "/home/one/.local/state/quorate");
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(NotesDirectory("").value(), "/state/quorate");
  home.empty() ? unsetenv("HOME") : setenv("HOME", home.c_str(), 1);
  state.empty() ? unsetenv("XDG_STATE_HOME") : setenv("XDG_STATE_HOME", state.c_str(), 1);
}

TEST_F(NotebookTest, OneProcedureAtATime) {
  auto first = ProcedureLock::Take(directory_, 1, "heal");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = ProcedureLock::Take(directory_, 1, "rolling-restart");
  EXPECT_THAT(
      std::string(Message(second.status())),
      HasSubstr("another procedure is at work on this cluster: heal, process " + std::to_string(getpid())));
  EXPECT_TRUE(ProcedureLock::Take(directory_, 2, "rolling-restart").ok());
  first->reset();
  EXPECT_TRUE(ProcedureLock::Take(directory_, 1, "rolling-restart").ok());
}

}  // namespace
}  // namespace quorate::cmd
