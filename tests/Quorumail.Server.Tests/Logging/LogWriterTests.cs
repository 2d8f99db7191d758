using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Core.Mail;
using Quorumail.Server.Configuration;
using Quorumail.Server.Logging;

namespace Quorumail.Server.Tests.Logging;

public sealed class LogWriterTests
{
    private static readonly QueueId Id = QueueId.Create(1_700_000_000_000, 42);

    [Fact]
    public void A_mail_event_is_one_line_of_words_and_leaves_out_what_is_not_known()
    {
        var lines = Log(LogFormat.Text, log => MailLog.Deferred(
            log, Id, "", "bob@example.org", null, "connection refused", "4.4.1", TimeSpan.FromSeconds(1.5), TimeSpan.FromMinutes(1)));

        Assert.Equal(
            [$"2026-01-02T03:04:05.678Z info deferred qid={Id} from=<> to=<bob@example.org> status=\"connection refused\" dsn=4.4.1 delay=1.500 next=60.000"],
            lines);
    }

    [Fact]
    public void Json_lines_carry_the_same_keys_with_numbers_as_numbers()
    {
        var line = Assert.Single(Log(LogFormat.Json, log => MailLog.Queued(log, Id, "a@b", 1234, 2, TimeSpan.FromMilliseconds(34))));

        using var json = JsonDocument.Parse(line);
        Assert.Equal("queued", json.RootElement.GetProperty("event").GetString());
        Assert.Equal("info", json.RootElement.GetProperty("level").GetString());
        Assert.Equal(Id.ToString(), json.RootElement.GetProperty("qid").GetString());
        Assert.Equal(1234, json.RootElement.GetProperty("size").GetInt64());
        Assert.Equal(0.034, json.RootElement.GetProperty("delay").GetDouble());
        Assert.Equal(new DateTime(2026, 1, 2, 3, 4, 5, 678, DateTimeKind.Utc), json.RootElement.GetProperty("time").GetDateTime());
    }

    [Theory]
    [InlineData("a\r\nforged qid=1", @"""a\r\nforged qid=1""")]
    [InlineData("a\u001b[31m", @"""a\x1b[31m""")]
    [InlineData("a\u2028b", @"""a\u{2028}b""")]
    [InlineData("a\u202eb", @"""a\u{202e}b""")]
    [InlineData("a\"b c\\", @"""a\""b c\\""")]
    [InlineData("a\0\u0085b", @"""a\x00\x85b""")]
    [InlineData("grün", "\"grün\"")]
    [InlineData("plain", "plain")]
    [InlineData("", "\"\"")]
    public void Hostile_characters_cannot_forge_a_line_or_steer_a_terminal(string helo, string written)
    {
        var text = Assert.Single(Log(LogFormat.Text, log => MailLog.Rejected(log, null, null, null, "192.0.2.1", helo, null, "no")));
        var json = Assert.Single(Log(LogFormat.Json, log => MailLog.Rejected(log, null, null, null, "192.0.2.1", helo, null, "no")));

        Assert.EndsWith($"helo={written} status=no", text, StringComparison.Ordinal);
        Assert.True(Ascii.IsValid(json));
        Assert.DoesNotContain(json, char.IsControl);
    }

    [Fact]
    public void Messages_of_any_logger_are_escaped_as_well()
    {
        var line = Assert.Single(Log(LogFormat.Text, log => log.LogWarning("name {Name}", "x\r\ny \"z\""), "Some.Category"));

        Assert.Equal(@"2026-01-02T03:04:05.678Z warn Category: name x\r\ny ""z""", line);
    }

    [Fact]
    public void The_journal_gets_a_priority_and_no_time()
    {
        var line = Assert.Single(Log(LogFormat.Text, log => log.LogError("bad"), "x", journal: true));

        Assert.Equal("<3>x: bad", line);
    }

    [Fact]
    public void A_slow_reader_costs_lines_and_never_time_and_the_loss_is_told()
    {
        const int Buffer = 64;
        using var output = new BlockedStream();
        using var provider = new LineLoggerProvider(
            new LoggingOptions { Buffer = Buffer }, output, journal: false, TimeProvider.System);
        var log = provider.CreateLogger("x");
        log.LogInformation("first");
        output.WaitUntilBlocked();

        for (var i = 0; i < 1000; i++)
        {
            log.LogInformation("more");
        }

        Assert.Equal(1000 - Buffer, provider.Dropped);
        output.Release();
        provider.Dispose();
        Assert.Contains($"{1000 - Buffer} log lines were dropped", output.Text, StringComparison.Ordinal);
        Assert.Equal(1 + Buffer + 1, output.Text.Count(c => c == '\n'));
    }

    [Fact]
    public void Every_line_that_could_not_be_written_counts_as_dropped()
    {
        using var output = new BlockedStream { Fails = true };
        using var provider = new LineLoggerProvider(new LoggingOptions(), output, journal: false, TimeProvider.System);
        var log = provider.CreateLogger("x");
        log.LogInformation("first");
        output.WaitUntilBlocked();
        for (var i = 0; i < 9; i++)
        {
            log.LogInformation("more");
        }

        output.Release();
        provider.Dispose();
        Assert.Equal(10, provider.Dropped);
    }

    [Fact]
    public void Nothing_that_was_logged_before_the_end_is_lost()
    {
        using var output = new MemoryStream();
        using (var provider = new LineLoggerProvider(new LoggingOptions(), output, journal: false, TimeProvider.System))
        {
            Parallel.For(0, 8, _ =>
            {
                var log = provider.CreateLogger(MailLog.Category);
                for (var i = 0; i < 1000; i++)
                {
                    MailLog.Removed(log, Id, "a@b", TimeSpan.Zero);
                }
            });
        }

        Assert.Equal(8000, Encoding.UTF8.GetString(output.ToArray()).Count(c => c == '\n'));
    }

    private static string[] Log(LogFormat format, Action<ILogger> act, string category = MailLog.Category, bool journal = false)
    {
        using var output = new MemoryStream();
        using (var provider = new LineLoggerProvider(
            new LoggingOptions { Format = format },
            output,
            journal,
            new FakeTimeProvider(new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.Zero))))
        {
            act(provider.CreateLogger(category));
        }

        return Encoding.UTF8.GetString(output.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>A reader of the log that takes nothing until it is told to, and even then only if it doesn't fail.</summary>
    private sealed class BlockedStream : MemoryStream
    {
        private readonly ManualResetEventSlim _blocked = new();
        private readonly ManualResetEventSlim _released = new();

        public bool Fails { get; init; }

        public string Text => Encoding.UTF8.GetString(ToArray());

        public void WaitUntilBlocked() => Assert.True(_blocked.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken), "nothing was written");

        public void Release() => _released.Set();

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _blocked.Set();
            _released.Wait(CancellationToken.None);
            if (Fails)
            {
                throw new IOException("broken pipe");
            }

            base.Write(buffer);
        }

        protected override void Dispose(bool disposing)
        {
            _blocked.Dispose();
            _released.Dispose();
            base.Dispose(disposing);
        }
    }
}
