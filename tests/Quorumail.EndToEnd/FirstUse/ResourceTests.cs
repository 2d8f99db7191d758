using System.Globalization;
using System.Net;
using System.Text;
using Quorumail.EndToEnd.Peers;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.FirstUse;

/// <summary>Disk and memory run short: mail is refused for now and nothing that was accepted is lost.</summary>
public sealed class ResourceTests
{
    private const long Mebibyte = 1 << 20;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task A_full_disk_refuses_at_MAIL_with_452_and_recovers_without_a_restart()
    {
        var token = TestContext.Current.CancellationToken;
        PeerPrograms.RequireRoot();
        using var directory = new TemporaryDirectory();
        var disk = Directory.CreateDirectory(directory["disk"]).FullName;
        var (mounted, reason) = await ChildProcess.RunAsync("mount", ["-t", "tmpfs", "-o", "size=400m", "quorumail-e2e", disk], Limit, token);
        Assert.SkipUnless(mounted == 0, $"tmpfs can't be mounted here: {reason}");
        try
        {
            await FillAndFreeAsync(disk, token);
        }
        finally
        {
            await ChildProcess.RunAsync("umount", ["--lazy", disk], Limit, CancellationToken.None);
        }
    }

    /// <summary>10 of 10 MB; with QUORUMAIL_LARGE (torture.sh --large) 50 of 25 MB, for which 300 MB are allowed.</summary>
    [Fact]
    public Task Large_messages_at_once_stream_to_the_disk_and_raise_memory_by_a_bounded_amount() =>
        Environment.GetEnvironmentVariable("QUORUMAIL_LARGE") is { Length: > 0 } ? ReceiveLargeAsync(50, 25, 300) : ReceiveLargeAsync(10, 10, 150);

    private static async Task FillAndFreeAsync(string disk, CancellationToken token)
    {
        await using var sink = new SmtpSink();
        var settings = new ServerSettings { DataDirectory = Path.Combine(disk, "data"), StorageLines = ["min_free = 67108864"] }.Trusting().RoutedTo(sink.Port).Retrying();
        await using var server = await ServerProcess.StartAsync(settings, token);
        var filler = Path.Combine(disk, "filler");
        var load = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "before", Messages = 100 });
        await load.RunAsync(CancellationToken.None, token);

        await using (var file = File.Create(filler))
        {
            var free = new DriveInfo(disk).AvailableFreeSpace;
            var block = new byte[Mebibyte];
            for (var written = 0L; written < free - (32 * Mebibyte); written += block.Length)
            {
                await file.WriteAsync(block, token);
            }
        }

        await Deadline.UntilAsync(async each => (await AskForMailAsync(server, each)).StartsWith("452 4.3.1", StringComparison.Ordinal), Limit, () => "MAIL is still accepted", token);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.GetAsync("readyz", token)).Status);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("healthz", token)).Status);

        File.Delete(filler);
        await Deadline.UntilAsync(async each => (await AskForMailAsync(server, each)).StartsWith("250", StringComparison.Ordinal), Limit, () => "MAIL is still refused", token);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("readyz", token)).Status);
        var after = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "after", Messages = 100 });
        await after.RunAsync(CancellationToken.None, token);
        await sink.UntilDeliveredAsync([.. load.Sent, .. after.Sent], Limit, token);
        var verdict = MailLedger.Settle([.. load.Sent, .. after.Sent], sink.Copies, await server.SuspectsAsync(token));
        Assert.True(verdict.IsGreen, verdict.ToString());
    }

    private static async Task<string> AskForMailAsync(ServerProcess server, CancellationToken token)
    {
        using var conversation = await SmtpConversation.ConnectAsync(server.SmtpPort, token);
        await conversation.ReadReplyAsync(token);
        await conversation.AskAsync("EHLO client.example", token);
        return (await conversation.AskAsync("MAIL FROM:<a@client.example>", token)).Lines[0];
    }

    private static async Task ReceiveLargeAsync(int messages, int mebibytes, int limitMebibytes)
    {
        var token = TestContext.Current.CancellationToken;
        var settings = new ServerSettings { Tables = "[[routes]]\nmatch = \"*\"\ntransport = \"discard\"\n" }.Trusting();
        await using var server = await ServerProcess.StartAsync(settings, token);
        var load = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "warm", Messages = 200 });
        await load.RunAsync(CancellationToken.None, token);
        await server.UntilQueueEmptyAsync(Limit, token);
        var before = server.ResidentBytes;

        var content = new StringBuilder("Subject: large\r\n\r\n");
        while (content.Length < mebibytes * Mebibyte)
        {
            content.Append("0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
        }

        var octets = Encoding.ASCII.GetBytes(content.Append(".\r\n").ToString());
        await Task.WhenAll(Enumerable.Range(0, messages).Select(_ => SendAsync(server.SmtpPort, octets, token)));

        var growth = (server.PeakResidentBytes - before) / Mebibyte;
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{messages} messages of {mebibytes} MB raised resident memory from {before / Mebibyte} MB by {growth} MB."));
        Assert.True(growth <= limitMebibytes, $"{messages} messages of {mebibytes} MB raised resident memory by {growth} MB, more than {limitMebibytes}.");
    }

    private static async Task SendAsync(int port, byte[] stuffed, CancellationToken token)
    {
        using var conversation = await SmtpConversation.ConnectAsync(port, token);
        await conversation.ReadReplyAsync(token);
        await conversation.AskAsync("EHLO client.example", token);
        await conversation.AskAsync("MAIL FROM:<a@client.example>", token);
        await conversation.AskAsync("RCPT TO:<b@elsewhere.example>", token);
        Assert.Equal(354, (await conversation.AskAsync("DATA", token)).Code);
        await conversation.SendAsync(stuffed, token);
        Assert.Equal(250, (await conversation.ReadReplyAsync(token)).Code);
    }
}
