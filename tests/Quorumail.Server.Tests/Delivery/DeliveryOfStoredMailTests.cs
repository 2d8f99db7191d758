using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Server.Delivery;
using Quorumail.Server.Limits;
using Quorumail.Server.Queue;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Limits;

namespace Quorumail.Server.Tests.Delivery;

/// <summary>Delivery out of the real queue: database, log and bodies on disk.</summary>
public sealed class DeliveryOfStoredMailTests : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("stored").FullName;
    private readonly SharedLimits _limits = new DirectLog(TimeProvider.System).NodeOf("n1");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        await _limits.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private Task<MailQueue> OpenAsync() => MailQueue.OpenAsync(
        new MailQueueOptions { Database = new DatabaseOptions { Path = Path.Combine(_folder, "data"), FreeSpaceFloor = 0 } },
        TimeProvider.System, NullLoggerFactory.Instance, Token);

    private DeliveryService Deliver(MailQueue queue, ScriptedPeer peer) => new(
        new DeliverySettings
        {
            HostName = "us.example",
            HelloName = "us.example",
            OwnPorts = [2525],
            Routes = new RouteTable(
            [
                new Route { Match = "*", Transport = RouteTransport.Smtp, Host = "127.0.0.1", Port = peer.Port },
                new Route { Match = "local.example", Transport = RouteTransport.Maildir, Path = Path.Combine(_folder, "maildir") },
            ]),
        },
        new LocalDeliveryQueue(queue), new DestinationLimits(_limits), new TableDns(), TimeProvider.System, NullLoggerFactory.Instance, Random.Shared);

    private static async Task<QueueId> EnqueueAsync(MailQueue queue, string body, params string[] to)
    {
        var id = queue.NewId();
        await using var writer = queue.Bodies.Begin(id);
        await writer.WriteAsync(Encoding.ASCII.GetBytes(body), Token);
        var receipt = await writer.CompleteAsync(Token);
        var envelope = new Envelope("sender@local.example", [.. to.Select(address => new EnvelopeRecipient(address))]);
        Assert.True((await queue.EnqueueAsync(id, envelope, receipt, BodyTraits.None, Token)).IsAccepted);
        return id;
    }

    private static async Task EmptyAsync(MailQueue queue)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Token);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        while (queue.Count > 0)
        {
            await Task.Delay(10, limit.Token);
        }
    }

    [Fact]
    public async Task A_stored_message_arrives_whole_a_bounce_reaches_its_sender_and_the_queue_is_empty()
    {
        var body = "Subject: x\r\n\r\n" + string.Concat(Enumerable.Repeat(".a line of a message that takes more than one chunk\r\n", 6_000));
        await using var peer = new ScriptedPeer { Script = line => line.StartsWith("RCPT TO:<no@", StringComparison.Ordinal) ? "550 5.1.1 no\r\n" : null };
        await using var queue = await OpenAsync();
        await using (var service = Deliver(queue, peer))
        {
            await service.StartAsync(Token);
            await EnqueueAsync(queue, body, "yes@x.example", "no@x.example");
            await EmptyAsync(queue);
            await service.StopAsync(Token);
        }

        Assert.Equal([body], peer.Messages);
        var notice = Assert.Single(Directory.GetFiles(Path.Combine(_folder, "maildir", "sender@local.example", "new")));
        Assert.Contains("Final-Recipient: rfc822; no@x.example", await File.ReadAllTextAsync(notice, Token), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_message_that_reached_its_Maildir_but_not_its_record_is_there_once_after_a_restart()
    {
        await using var peer = new ScriptedPeer();
        QueueId id;
        await using (var queue = await OpenAsync())
        {
            id = await EnqueueAsync(queue, "Subject: x\r\n\r\nx\r\n", "alice@local.example");
        }

        // As an earlier life would have left it: delivered, read by the user, and not recorded.
        var folder = Path.Combine(_folder, "maildir", "alice@local.example");
        Directory.CreateDirectory(Path.Combine(folder, "cur"));
        await File.WriteAllTextAsync(
            Path.Combine(folder, "cur", Quorumail.Server.Delivery.Maildir.MaildirFormat.FileName(id, 0) + ":2,S"), "x", Token);
        await using (var queue = await OpenAsync())
        {
            await using var service = Deliver(queue, peer);
            await service.StartAsync(Token);
            await EmptyAsync(queue);
            await service.StopAsync(Token);
        }

        Assert.Single(Directory.GetFiles(folder, "*", SearchOption.AllDirectories));
    }
}
