using System.Globalization;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Load;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Peers;

/// <summary>Quorumail between other mail servers.</summary>
public sealed class RelayTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task Smtp_source_through_Quorumail_to_smtp_sink_loses_nothing()
    {
        const int Messages = 500;
        var token = TestContext.Current.CancellationToken;
        await PeerPrograms.RequireAsync("postfix", token);
        using var directory = new TemporaryDirectory();
        var dump = Directory.CreateDirectory(directory["dump"]).FullName;
        File.SetUnixFileMode(dump, (UnixFileMode)0x1FF);
        var sinkPort = FreePort.Take();
        string[] user = Environment.UserName == "root" ? ["-u", "nobody"] : [];
        await using var sink = ChildProcess.Start(
            PeerPrograms.Locate("smtp-sink"), [.. user, "-d", dump + "/%M.", Address(sinkPort), "100"], directory["sink.log"]);
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(sinkPort).Retrying(), token);

        var (code, output) = await ChildProcess.RunAsync(
            PeerPrograms.Locate("smtp-source"),
            ["-s", "20", "-m", Number(Messages), "-l", "4096", "-f", "a@client.example", "-t", "b@elsewhere.example", Address(server.SmtpPort)],
            Limit,
            token);
        Assert.True(code == 0, output);
        await server.UntilQueueEmptyAsync(Limit, token);
        Assert.Equal(Messages, Directory.EnumerateFiles(dump).Count());
    }

    [Fact]
    public async Task Postfix_relays_through_Quorumail_and_nothing_is_lost_or_changed()
    {
        var token = TestContext.Current.CancellationToken;
        await using var sink = new SmtpSink();
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(sink.Port).Retrying(), token);
        await using var postfix = await PostfixProcess.StartAsync([$"default_transport=smtp:[127.0.0.1]:{server.SmtpPort}"], token);
        var load = new LoadClient(new LoadPlan { Port = postfix.Port, Name = "up", Messages = 300 });
        await load.RunAsync(CancellationToken.None, token);
        await sink.UntilDeliveredAsync(load.Sent, Limit, token);

        var verdict = MailLedger.Settle(load.Sent, sink.Copies, await server.SuspectsAsync(token));
        Assert.True(verdict.IsGreen, $"{verdict}\n{server.Child.OutputTail}");
        Assert.Equal(300, load.Acknowledged);
        Assert.Empty(verdict.DuplicateListed);
    }

    [Fact]
    public async Task Quorumail_relays_to_Postfix_whose_Maildir_holds_every_message_unchanged()
    {
        const string To = "r0@sink.example";
        var token = TestContext.Current.CancellationToken;
        await using var postfix = await PostfixProcess.StartAsync(["virtual_mailbox_domains=sink.example", "virtual_mailbox_maps=static:all/"], token);
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(postfix.Port).Retrying(), token);
        var load = new LoadClient(new LoadPlan { Port = server.SmtpPort, Name = "down", Messages = 300, MaximumRecipients = 1, Recipient = _ => To });
        await load.RunAsync(CancellationToken.None, token);
        await server.UntilQueueEmptyAsync(Limit, token);
        var maildir = Path.Combine(postfix.MailDirectory, "all");
        await Deadline.UntilAsync(() => ReceivedCopies.Files(maildir).Count() >= 300, Limit, () => postfix.Log[^Math.Min(postfix.Log.Length, 2000)..], token);

        var verdict = MailLedger.Settle(load.Sent, ReceivedCopies.ReadMaildir(maildir, To), await server.SuspectsAsync(token));
        Assert.True(verdict.IsGreen, $"{verdict}\n{server.Child.OutputTail}");
        Assert.Equal(300, verdict.Acknowledged);
    }

    private static string Address(int port) => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
