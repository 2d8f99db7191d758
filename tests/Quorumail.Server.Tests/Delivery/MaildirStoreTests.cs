using System.Text;
using CsCheck;
using Quorumail.Core.Mail;
using Quorumail.Server.Delivery.Maildir;
using Quorumail.Server.Delivery.Transport;

namespace Quorumail.Server.Tests.Delivery;

public sealed class MaildirStoreTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("maildir").FullName;
    private readonly MaildirCommitter _committer = new();
    private readonly MaildirStore _store;
    private static readonly QueueId Id = QueueId.Create(1_700_000_000_123, 7);

    public MaildirStoreTests() => _store = new MaildirStore(Path.Combine(_root, "maildir"), _committer, "n1");

    public void Dispose()
    {
        _committer.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    private Task Deliver(string mailbox, int recipient = 0, string body = "Subject: x\r\n\r\nhi\r\n", bool mayBeRepeated = false, string address = "a@x") =>
        _store.DeliverAsync(mailbox, Id, recipient, "from@y", address, new MemoryContent(Encoding.UTF8.GetBytes(body)), mayBeRepeated, TestContext.Current.CancellationToken);

    private static Task Deliver(MaildirStore store, string mailbox) => store.DeliverAsync(
        mailbox, Id, 0, "from@y", "a@x", new MemoryContent("Subject: x\r\n\r\nhi\r\n"u8.ToArray()), mayBeRepeated: true, TestContext.Current.CancellationToken);

    private string[] Files(string mailbox, string part) => Directory.GetFiles(Path.Combine(_root, "maildir", mailbox, part));

    [Fact]
    public async Task A_message_stands_in_new_with_its_envelope_and_readers_line_ends()
    {
        await Deliver("alice");
        var file = Assert.Single(Files("alice", "new"));
        Assert.Equal("Return-Path: <from@y>\nDelivered-To: a@x\nSubject: x\n\nhi\n", await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        Assert.Empty(Files("alice", "tmp"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute,
            File.GetUnixFileMode(Path.GetDirectoryName(file)!));
    }

    [Fact]
    public async Task A_repeated_delivery_leaves_one_file_wherever_the_reader_has_put_it()
    {
        await Deliver("alice");
        await Deliver("alice");
        await Deliver("alice", mayBeRepeated: true);
        var file = Assert.Single(Files("alice", "new"));
        File.Move(file, Path.Combine(_root, "maildir", "alice", "cur", Path.GetFileName(file) + ":2,S"));
        await Deliver("alice", mayBeRepeated: true);
        Assert.Empty(Files("alice", "new"));
    }

    [Fact]
    public async Task Recipients_that_share_a_mailbox_get_a_file_each()
    {
        await Task.WhenAll(Enumerable.Range(0, 50).Select(i => Deliver("alice", i, address: $"a{i}@x")));
        Assert.Equal(50, Files("alice", "new").Length);
    }

    [Theory]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("../../etc/cron.d/x")]
    [InlineData("/etc/passwd")]
    [InlineData("a/../../b")]
    [InlineData("a\0b")]
    [InlineData("new\nline")]
    [InlineData("")]
    [InlineData("%2E%2E")]
    [InlineData("é")]
    [InlineData("e\u0301")]
    [InlineData("\u2028\u202e")]
    public async Task No_name_leaves_the_folder(string mailbox)
    {
        await Deliver(mailbox);
        Assert.Equal(["maildir"], Directory.GetFileSystemEntries(_root).Select(Path.GetFileName));
        var folder = Assert.Single(Directory.GetDirectories(Path.Combine(_root, "maildir")));
        Assert.Single(Directory.GetFiles(Path.Combine(folder, "new")));
        Assert.Matches("^[a-z0-9_%A-F+@-][a-z0-9_%A-F+@.-]*$", Path.GetFileName(folder));
    }

    [Fact]
    public async Task Long_names_are_cut_and_stay_different()
    {
        await Deliver(new string('a', 300));
        await Deliver(new string('a', 299) + "b");
        await Deliver(string.Concat(Enumerable.Repeat("é", 150)));
        var folders = Directory.GetDirectories(Path.Combine(_root, "maildir"));
        Assert.Equal(3, folders.Length);
        Assert.All(folders, folder => Assert.InRange(Path.GetFileName(folder).Length, 1, MailboxName.LengthMax));
    }

    [Fact]
    public void Case_does_not_make_another_mailbox_and_different_names_do()
    {
        Assert.Equal(MailboxName.ToFolder("Alice"), MailboxName.ToFolder("aLICE"));
        string[] names = ["a", "a.", ".a", "..", ".", "", "%", "%2E", "a/b", "a%2Fb", "a\\b", "a b"];
        Assert.Equal(names.Length, names.Select(MailboxName.ToFolder).Distinct(StringComparer.Ordinal).Count());
    }

    [Theory]
    [InlineData("alice@x.example", "alice@x.example")]
    [InlineData("\"a b\\\"c\"@x.example", "a b\"c@x.example")]
    [InlineData("\"x@other\"@x.example", "x@other@x.example")]
    [InlineData("postmaster", "postmaster")]
    public void An_address_loses_its_quotes(string address, string mailbox) => Assert.Equal(mailbox, MailboxName.OfAddress(address));

    [Fact]
    public void Line_ends_are_turned_wherever_the_pieces_are_cut() =>
        Check.Sample(
            Gen.Select(Gen.OneOf((byte)97, (byte)13, (byte)10).Array[0, 40], Gen.Int[1, 9]),
            (bytes, size) =>
            {
                var output = new List<byte>();
                var pending = false;
                var buffer = new byte[size + 1];
                for (var at = 0; at < bytes.Length; at += size)
                {
                    var length = MaildirFormat.Convert(bytes.AsSpan(at, Math.Min(size, bytes.Length - at)), buffer, ref pending);
                    output.AddRange(buffer[..length]);
                }

                var expected = Encoding.Latin1.GetString(bytes).Replace("\r\n", "\n", StringComparison.Ordinal);
                Assert.Equal(expected, Encoding.Latin1.GetString([.. output]) + (pending ? "\r" : ""));
            });

    [Fact]
    public async Task A_control_character_in_an_address_makes_no_header()
    {
        await Deliver("alice", address: "a\nEvil: yes@x");
        var text = await File.ReadAllTextAsync(Files("alice", "new")[0], TestContext.Current.CancellationToken);
        Assert.DoesNotContain("\nEvil", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(28, 1)]
    [InlineData(122, 1)]
    [InlineData(28, 2)]
    [InlineData(122, 2)]
    public async Task A_mailbox_without_room_is_no_failed_disk_and_takes_the_file_when_there_is_room(int errno, int failing)
    {
        // The file is synced first, then its folder.
        var syncs = 0;
        using var committer = new MaildirCommitter(handle =>
        {
            if (++syncs == failing)
            {
                throw new IOException("fsync failed", errno);
            }

            Quorumail.Cluster.Disk.Fsync.File(handle);
        });
        var store = new MaildirStore(Path.Combine(_root, "maildir"), committer, "n1");
        var error = await Assert.ThrowsAsync<IOException>(() => Deliver(store, "alice"));
        Assert.Equal(errno, (error.InnerException ?? error).HResult);
        Assert.Empty(Files("alice", "tmp"));
        Assert.Empty(Files("alice", "new"));
        Assert.False(committer.Failed.IsCompleted);
        await Deliver(store, "alice");
        Assert.Single(Files("alice", "new"));
    }

    [Fact]
    public async Task A_disk_that_can_not_be_read_or_written_is_named_with_the_mailbox_at_which_it_failed()
    {
        using var committer = new MaildirCommitter(static _ => throw new IOException("fsync failed", 5));
        await Assert.ThrowsAsync<IOException>(() => Deliver(new MaildirStore(Path.Combine(_root, "maildir"), committer, "n1"), "alice"));
        var failure = await committer.Failed.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.Contains(Path.Combine(_root, "maildir", "alice"), failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_mailbox_that_is_removed_under_way_is_no_failed_disk_and_is_made_again()
    {
        await Deliver("alice");
        Directory.Delete(Path.Combine(_root, "maildir", "alice", "new"), recursive: true);
        await Assert.ThrowsAsync<IOException>(() => Deliver("alice", 1));
        Assert.False(_committer.Failed.IsCompleted);
        await Deliver("alice", 1);
        Assert.Single(Files("alice", "new"));
        Assert.Empty(Files("alice", "tmp"));
    }

    [Fact]
    public async Task Nodes_that_share_a_mailbox_write_into_files_of_their_own()
    {
        var inWriting = new TaskCompletionSource();
        var content = new WaitingContent(inWriting.Task);
        var first = _store.DeliverAsync("alice", Id, 0, "from@y", "a@x", content, false, TestContext.Current.CancellationToken);
        await content.Asked.Task.WaitAsync(TestContext.Current.CancellationToken);
        await Deliver(new MaildirStore(Path.Combine(_root, "maildir"), _committer, "n2"), "alice");
        var whole = await File.ReadAllTextAsync(Assert.Single(Files("alice", "new")), TestContext.Current.CancellationToken);
        inWriting.SetResult();
        await Assert.ThrowsAsync<IOException>(() => first);
        Assert.EndsWith("hi\n", whole, StringComparison.Ordinal);
        Assert.Equal(whole, await File.ReadAllTextAsync(Assert.Single(Files("alice", "new")), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_mailbox_that_was_removed_is_made_again()
    {
        await Deliver("alice");
        Directory.Delete(Path.Combine(_root, "maildir", "alice"), recursive: true);
        await Deliver("alice", 1);
        Assert.Single(Files("alice", "new"));
    }

    /// <summary>Says when it is asked for, waits, gives a piece and breaks off.</summary>
    private sealed class WaitingContent(Task until) : MessageContent
    {
        public TaskCompletionSource Asked { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override long Size => 0;

        public override async ValueTask<ReadOnlyMemory<byte>> ReadAsync(CancellationToken token)
        {
            if (!Asked.TrySetResult())
            {
                throw new IOException("cut off");
            }

            await until.WaitAsync(token);
            return "half a line"u8.ToArray();
        }

        public override void Dispose()
        {
        }
    }
}
