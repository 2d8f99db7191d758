using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Configuration;
using Quorumail.Server.Delivery;
using Quorumail.Server.Delivery.Dns;
using Quorumail.Server.Delivery.Maildir;
using Quorumail.Server.Limits;
using Quorumail.Server.Logging;
using Quorumail.Server.Tests.Limits;
using Quorumail.Server.Tests.Logging;
using static Quorumail.Server.Tests.Delivery.ModelQueue;

namespace Quorumail.Server.Tests.Delivery;

public sealed class DeliveryServiceTests : IAsyncDisposable
{
    private const string Body = "Subject: x\r\n\r\n.hi\r\n";

    private readonly KeptLogs _logs = new();
    private readonly ScriptedPeer _peer = new();
    private readonly ModelQueue _queue = new();
    private readonly SharedLimits _limits = new DirectLog(TimeProvider.System).NodeOf("n1");
    private readonly string _folder = Directory.CreateTempSubdirectory("delivery").FullName;
    private DeliveryService? _service;

    public async ValueTask DisposeAsync()
    {
        if (_service is not null)
        {
            await _service.DisposeAsync();
        }

        await _limits.DisposeAsync();
        await _peer.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private Route Smtp(RouteTransport transport = RouteTransport.Smtp, RouteTls tls = RouteTls.May) =>
        new() { Match = "*", Transport = transport, Host = "127.0.0.1", Port = _peer.Port, Tls = tls };

    private async Task<DeliveryService> StartAsync(
        Route? route = null,
        EightBitDowngrade downgrade = EightBitDowngrade.Convert,
        TimeProvider? time = null,
        IDnsLookup? dns = null,
        int concurrency = 20,
        ILoggerFactory? log = null)
    {
        _service = new DeliveryService(
            new DeliverySettings
            {
                HostName = "us.example",
                HelloName = "us.example",
                OwnPorts = [2525],
                Routes = new RouteTable([route ?? Smtp(), new Route { Match = "local.example", Transport = RouteTransport.Maildir, Path = _folder }, new Route { Match = "nowhere.example", Transport = RouteTransport.Discard }]),
                MailboxOf = address => address.StartsWith("alice", StringComparison.Ordinal) ? "alice" : null,
                SendersOf = address => address switch
                {
                    "root@local.example" => ["alice@local.example", "admin@x.example"],
                    _ when address.EndsWith("@local.example", StringComparison.Ordinal) => [],
                    _ => [address],
                },
                Downgrade8Bit = downgrade,
                RecordAgainAfter = TimeSpan.FromMilliseconds(1),
                Limits = new DeliveryLimits { DestinationConcurrency = concurrency },
            },
            _queue, new DestinationLimits(_limits), dns ?? new TableDns(), time ?? TimeProvider.System, log ?? _logs, new Random(1));
        await _service.StartAsync(TestContext.Current.CancellationToken);
        return _service;
    }

    [Fact]
    public async Task A_message_is_started_then_sent_then_recorded()
    {
        await StartAsync();
        var id = _queue.Enqueue(Body, "a@us.example", "b@x.example", "c@x.example");
        var started = await _queue.NextAsync<AttemptStartedCommand>();
        Assert.Equal([0, 1], started.Recipients);
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.All(ended.Results, result => Assert.Equal(RecipientOutcome.Delivered, result.Outcome));
        Assert.Equal("250 2.0.0 taken", ended.Results[0].Reply);
        Assert.Equal($"127.0.0.1[127.0.0.1]:{_peer.Port}", ended.Results[0].NextHop);
        Assert.Equal([Body], _peer.Messages);
        Assert.Null(_queue.Find(id));
    }

    [Fact]
    public async Task A_lost_attempt_of_a_held_message_is_listed_when_its_result_is_waited_for_no_more()
    {
        var token = TestContext.Current.CancellationToken;
        FakeTimeProvider time = new();
        var refusals = 1;
        _queue.Fate = command => command is AttemptGivenUpCommand && refusals-- > 0 ? ProposalFate.Refuse : ProposalFate.Commit;
        var id = _queue.Enqueue(Body, "a@us.example", "b@x.example");
        foreach (var command in (QueueCommand[])
        [
            new NodesChangedCommand([new BodyHolder("n1", 1)], 1, 60_000, 1),
            new NodeUpCommand("n1", 1, 1),
        ])
        {
            Assert.Equal(ApplyStatus.Accepted, await _queue.ProposeAsync(command, token));
        }

        Assert.Equal(ApplyStatus.Accepted, await _queue.ProposeAsync(new AttemptStartedCommand(id, _queue.Find(id)!.Epoch, 1, [0]), token));
        Assert.Equal(ApplyStatus.Accepted, await _queue.ProposeAsync(new NodeUpCommand("n1", 1, 2), token));
        Assert.Equal(
            ApplyStatus.Accepted, await _queue.ProposeAsync(new AdministerCommand(QueueAction.Hold, new QueueSelection { Ids = [id] }), token));
        Assert.Equal(RecipientState.OwnerLost, Assert.Single(_queue.Find(id)!.Recipients).State);
        await StartAsync(time: time);
        while (_queue.Suspects.Count == 0)
        {
            token.ThrowIfCancellationRequested();
            _queue.ClusterTime += 1000;
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        Assert.Equal((id, SuspectReason.OwnerLost, 1), _queue.Suspects.Select(suspect => (suspect.Id, suspect.Reason, suspect.Attempt)).Single());
        Assert.Equal(RecipientState.Queued, Assert.Single(_queue.Find(id)!.Recipients).State);
        Assert.Empty(_peer.Messages);
    }

    [Fact]
    public async Task A_mailbox_on_a_disk_that_is_nearly_full_waits()
    {
        _queue.Shortage = "The disk is nearly full.";
        await StartAsync();
        var id = _queue.Enqueue(Body, "a@us.example", "bob@local.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        var result = Assert.Single(ended.Results);
        Assert.Equal((RecipientOutcome.Deferred, "4.3.1", "The disk is nearly full."), (result.Outcome, result.EnhancedCode, result.Reply));
        Assert.Empty(Directory.EnumerateFiles(_folder, "*", SearchOption.AllDirectories));
        Assert.NotNull(_queue.Find(id));
    }

    [Fact]
    public async Task The_dot_waits_for_the_accepted_start()
    {
        var commit = new TaskCompletionSource();
        _queue.Delay = command => command is AttemptStartedCommand ? commit.Task : Task.CompletedTask;
        await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        while (await _peer.Lines.ReadAsync(TestContext.Current.CancellationToken) != "DATA")
        {
        }

        Assert.Empty(_peer.Messages);
        commit.SetResult();
        await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Single(_peer.Messages);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_start_that_is_refused_or_unknown_gets_no_dot(bool refused)
    {
        _queue.Fate = command => command is not AttemptStartedCommand ? ProposalFate.Commit
            : refused ? ProposalFate.Refuse : ProposalFate.CommitUnknown;
        await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Deferred, ended.Results[0].Outcome);
        Assert.Empty(_peer.Messages);
        Assert.Empty(_queue.Suspects);
    }

    [Fact]
    public async Task A_start_gets_its_end_though_recording_fails_unexpectedly()
    {
        var failures = 3;
        _queue.Fate = command => command is AttemptEndedCommand && failures-- > 0
            ? throw new InvalidOperationException("unexpected")
            : ProposalFate.Commit;
        await StartAsync();
        var id = _queue.Enqueue(Body, "a@us.example", "b@x.example");
        await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Null(_queue.Find(id));
        Assert.Single(_peer.Messages);
    }

    [Fact]
    public async Task No_reply_after_the_dot_is_in_doubt_and_listed()
    {
        _peer.AfterDot = _ => ScriptedPeer.HangUp;
        await StartAsync();
        var id = _queue.Enqueue(Body, "a@us.example", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.InDoubt, ended.Results[0].Outcome);
        var suspect = Assert.Single(_queue.Suspects);
        Assert.Equal((id, "b@x.example", SuspectReason.NoReplyAfterDot), (suspect.Id, suspect.Recipient, suspect.Reason));
        Assert.Single(_peer.Messages);
    }

    [Theory]
    [InlineData("MAIL", "550 5.7.1 no\r\n", RecipientOutcome.Bounced, "5.7.1")]
    [InlineData("MAIL", "451 4.7.1 later\r\n", RecipientOutcome.Deferred, "4.7.1")]
    [InlineData("RCPT", "550 5.1.1 no\r\n", RecipientOutcome.Bounced, "5.1.1")]
    [InlineData("RCPT", "450 4.2.1 later\r\n", RecipientOutcome.Deferred, "4.2.1")]
    [InlineData("DATA", "554 5.3.0 no\r\n", RecipientOutcome.Bounced, "5.3.0")]
    [InlineData("DATA", "451 4.3.0 later\r\n", RecipientOutcome.Deferred, "4.3.0")]
    [InlineData("MAIL", ScriptedPeer.HangUp, RecipientOutcome.Deferred, "4.4.2")]
    [InlineData("RCPT", ScriptedPeer.HangUp, RecipientOutcome.Deferred, "4.4.2")]
    [InlineData("DATA", ScriptedPeer.HangUp, RecipientOutcome.Deferred, "4.4.2")]
    [InlineData("EHLO", "421 4.3.2 busy\r\n" + ScriptedPeer.HangUp, RecipientOutcome.Deferred, "4.3.2")]
    public async Task Every_refusal_is_recorded_as_what_it_is(string command, string reply, RecipientOutcome outcome, string code)
    {
        _peer.Script = line => line.StartsWith(command, StringComparison.Ordinal) ? reply
            : line == "DATA" ? "503 5.5.1 no\r\n" : null;
        await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(outcome, ended.Results[0].Outcome);
        Assert.Equal(code, ended.Results[0].EnhancedCode);
        Assert.Empty(_peer.Messages);
        Assert.Empty(_queue.Suspects);
    }

    [Fact]
    public async Task A_bounce_puts_its_notice_into_the_queue_in_the_same_step_and_the_notice_is_delivered()
    {
        _peer.Script = line => line.StartsWith("RCPT TO:<no@", StringComparison.Ordinal) ? "550 5.1.1 unknown <\u001b[31m>\r\n" : null;
        await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "no@x.example", "yes@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        var notice = Assert.Single(ended.Notices);
        Assert.Equal("", notice.Envelope.ReversePath);
        Assert.Equal("a@us.example", notice.Envelope.Recipients[0].Address);
        var text = Encoding.UTF8.GetString(_queue.Bodies[notice.Id]);
        Assert.Contains("Final-Recipient: rfc822; no@x.example", text, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', text);
        await _queue.NextAsync<AttemptEndedCommand>(end => end.Id == notice.Id);
        Assert.Equal([Body, text], _peer.Messages);
    }

    [Fact]
    public async Task A_notice_goes_where_mail_to_its_reader_goes()
    {
        _peer.Script = line => line.StartsWith("RCPT TO:<no@", StringComparison.Ordinal) ? "550 5.1.1 no\r\n" : null;
        await StartAsync();
        _queue.Enqueue(Body, "root@local.example", "no@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        var notice = Assert.Single(ended.Notices);
        Assert.Equal(["alice@local.example", "admin@x.example"], notice.Envelope.Recipients.Select(recipient => recipient.Address));
        await _queue.NextAsync<AttemptEndedCommand>(end => end.Id == notice.Id);
        await _queue.NextAsync<AttemptEndedCommand>(end => end.Id == notice.Id);
        Assert.Contains("To: <root@local.example>", Assert.Single(_peer.Messages), StringComparison.Ordinal);
        Assert.Equal(["alice"], Directory.GetFileSystemEntries(_folder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_sender_of_ours_that_nobody_is_gets_no_notice_and_no_folder()
    {
        await StartAsync();
        _queue.Enqueue(Body, new Envelope("random@local.example", [new EnvelopeRecipient("alice@local.example", DsnNotify.Success)]));
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Delivered, ended.Results[0].Outcome);
        Assert.Empty(ended.Notices);
        Assert.Empty(_queue.Messages);
        Assert.Equal(["alice"], Directory.GetFileSystemEntries(_folder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_record_whose_outcome_is_unknown_is_proposed_until_it_is_known()
    {
        var unknown = 0;
        _queue.Fate = command => command is AttemptEndedCommand && Interlocked.Increment(ref unknown) <= 3
            ? ProposalFate.Refuse : ProposalFate.Commit;
        await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(4, unknown);
        Assert.Single(_peer.Messages);
    }

    [Theory]
    [InlineData("250 2.0.0 taken\r\n", "delivered")]
    [InlineData("550 5.7.1 no\r\n", "bounced")]
    [InlineData("450 4.2.1 later\r\n", "deferred")]
    public async Task A_record_that_was_applied_unheard_is_reported_once_its_fate_is_known(string reply, string line)
    {
        var proposals = 0;
        _queue.Fate = command => command is AttemptEndedCommand && Interlocked.Increment(ref proposals) == 1
            ? ProposalFate.CommitUnknown : ProposalFate.Commit;
        _peer.AfterDot = message => message == Body ? reply : "250 2.0.0 taken\r\n";
        using var log = new LineLog(MailLog.Category);
        await StartAsync(log: log);
        var id = _queue.Enqueue(Body, "a@us.example", "b@x.example");
        Assert.Contains($"qid={id}", await log.NextAsync(line), StringComparison.Ordinal);
        if (line != "deferred")
        {
            await log.NextAsync("removed");
        }
    }

    [Fact]
    public async Task What_breaks_delivery_fails_the_node()
    {
        var service = await StartAsync();
        _queue.Break(new InvalidDataException("what no queue says"));
        var failure = await service.Failed.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.Equal("what no queue says", failure.InnerException!.Message);
    }

    [Fact]
    public async Task A_requeued_message_is_tried_at_once_though_its_destination_rests()
    {
        // The queue's time stands still, so that no rest ends by itself. Nobody listens at first: a port that was given back.
        var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        var port = ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        await StartAsync(new Route { Match = "*", Transport = RouteTransport.Smtp, Host = "127.0.0.1", Port = port });
        var id = _queue.Enqueue(Body, "a@us.example", "b@x.example");
        Assert.Equal(RecipientOutcome.Deferred, (await _queue.NextAsync<AttemptEndedCommand>()).Results[0].Outcome);
        await _queue.ProposeAsync(
            new AdministerCommand(QueueAction.Requeue, new QueueSelection { Ids = [id] }, 1), TestContext.Current.CancellationToken);
        var again = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal((id, 2), (again.Id, again.Attempt));
    }

    [Fact]
    public async Task Messages_for_one_destination_share_connections()
    {
        await StartAsync(concurrency: 2);
        for (var i = 0; i < 50; i++)
        {
            _queue.Enqueue(Body, "a@us.example", $"b{i}@x.example");
        }

        for (var i = 0; i < 50; i++)
        {
            await _queue.NextAsync<AttemptEndedCommand>();
        }

        Assert.Equal(50, _peer.Messages.Count);
        Assert.InRange(_peer.Connections, 1, 2);
    }

    [Fact]
    public async Task A_kept_connection_that_breaks_off_is_replaced_without_a_failed_attempt()
    {
        _peer.AfterDot = _ => "250 ok\r\n";
        var count = 0;
        _peer.Script = line => line.StartsWith("MAIL", StringComparison.Ordinal) && ++count == 2 ? ScriptedPeer.HangUp : null;
        await StartAsync(concurrency: 1);
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        await _queue.NextAsync<AttemptEndedCommand>();
        _queue.Enqueue(Body, "a@us.example", "c@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Delivered, ended.Results[0].Outcome);
        Assert.Equal(2, _peer.Connections);
    }

    [Fact]
    public async Task The_next_address_is_tried_when_one_cannot_be_reached()
    {
        var route = new Route { Match = "*", Transport = RouteTransport.Smtp, Host = "multi.example", Port = _peer.Port };
        await StartAsync(route, dns: new TableDns("A multi.example 127.0.0.2", "A multi.example 127.0.0.1"));
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Delivered, ended.Results[0].Outcome);
    }

    [Theory]
    [InlineData("null.example", RecipientOutcome.Bounced, "5.1.10")]
    [InlineData("gone.example", RecipientOutcome.Bounced, "5.1.2")]
    [InlineData("fails.example", RecipientOutcome.Deferred, "4.4.3")]
    [InlineData("loop.example", RecipientOutcome.Bounced, "5.4.6")]
    public async Task What_the_DNS_says_is_recorded_as_what_it_is(string domain, RecipientOutcome outcome, string code)
    {
        await StartAsync(Route.DefaultMx, dns: new TableDns("MX null.example 0 .", "FAIL fails.example", "MX loop.example 5 l", "A l 127.0.0.1"));
        _queue.Enqueue(Body, "a@us.example", "b@" + domain);
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(outcome, ended.Results[0].Outcome);
        Assert.Equal(code, ended.Results[0].EnhancedCode);
    }

    [Fact]
    public async Task A_null_sender_gets_no_notice()
    {
        _peer.Script = line => line.StartsWith("RCPT", StringComparison.Ordinal) ? "550 5.1.1 no\r\n" : line == "DATA" ? "503 no\r\n" : null;
        await StartAsync();
        _queue.Enqueue(Body, "", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Dropped, ended.Results[0].Outcome);
        Assert.Empty(ended.Notices);

        // All that is told of an attempt has been told when its job is over.
        await _service!.StopAsync(TestContext.Current.CancellationToken);
        Assert.Contains(_logs.Lines, line => line.StartsWith("Information mail: bounced ", StringComparison.Ordinal) && line.EndsWith("notice=", StringComparison.Ordinal));
    }

    [Fact]
    public async Task LMTP_replies_map_one_to_one()
    {
        _peer.AfterDot = _ => "250 2.0.0 one\r\n452 4.2.2 full\r\n550 5.2.1 off\r\n";
        await StartAsync(Smtp(RouteTransport.Lmtp));
        _queue.Enqueue(Body, "a@us.example", "b@x.example", "c@x.example", "d@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(
            [RecipientOutcome.Delivered, RecipientOutcome.Deferred, RecipientOutcome.Bounced], ended.Results.Select(result => result.Outcome));
        Assert.StartsWith("LHLO", _peer.TakeLines()[0], StringComparison.Ordinal);
    }

    private const string EightBit = "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nBücher\r\n";

    [Theory]
    [InlineData(EightBitDowngrade.Convert, RecipientOutcome.Delivered, "2.0.0")]
    [InlineData(EightBitDowngrade.Pass, RecipientOutcome.Delivered, "2.0.0")]
    [InlineData(EightBitDowngrade.Bounce, RecipientOutcome.Bounced, "5.6.3")]
    public async Task An_8_bit_message_for_a_7_bit_hop_is_converted_passed_or_bounced(
        EightBitDowngrade downgrade, RecipientOutcome outcome, string code)
    {
        _peer.Ehlo = "250 peer.example\r\n";
        _peer.Script = line => line.StartsWith("RCPT TO:<a@", StringComparison.Ordinal) ? "250 ok\r\n" : null;
        await StartAsync(downgrade: downgrade);
        var id = _queue.Enqueue(EightBit, "a@us.example", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>(end => end.Id == id);
        Assert.Equal(outcome, ended.Results[0].Outcome);
        Assert.Equal(code, ended.Results[0].EnhancedCode);
        if (downgrade == EightBitDowngrade.Convert)
        {
            Assert.True(Ascii.IsValid(_peer.Messages[0]));
            using var arrived = await MimeKit.MimeMessage.LoadAsync(new MemoryStream(Encoding.ASCII.GetBytes(_peer.Messages[0])), TestContext.Current.CancellationToken);
            Assert.Equal("Bücher\r\n", arrived.TextBody!.ReplaceLineEndings("\r\n"));
        }
        else if (downgrade == EightBitDowngrade.Pass)
        {
            Assert.Equal(Encoding.UTF8.GetBytes(EightBit), Encoding.Latin1.GetBytes(_peer.Messages[0]));
        }
    }

    [Fact]
    public async Task With_8BITMIME_a_message_goes_out_as_it_came()
    {
        await StartAsync();
        _queue.Enqueue(EightBit, "a@us.example", "b@x.example");
        await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(Encoding.UTF8.GetBytes(EightBit), Encoding.Latin1.GetBytes(_peer.Messages[0]));
        Assert.Contains(_peer.TakeLines(), line => line.EndsWith("BODY=8BITMIME", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Subject: ü\r\n\r\nx\r\n", "b@x.example")]
    [InlineData(Body, "ü@x.example")]
    public async Task Without_SMTPUTF8_an_international_message_bounces(string body, string to)
    {
        _peer.Ehlo = "250-peer.example\r\n250 8BITMIME\r\n";
        await StartAsync();
        var id = _queue.Enqueue(body, "a@us.example", to);
        var ended = await _queue.NextAsync<AttemptEndedCommand>(end => end.Id == id);
        Assert.Equal(RecipientOutcome.Bounced, ended.Results[0].Outcome);
        Assert.Equal("5.6.7", ended.Results[0].EnhancedCode);
    }

    [Fact]
    public async Task Without_SMTPUTF8_recipients_in_ASCII_are_served()
    {
        _peer.Ehlo = "250-peer.example\r\n250 8BITMIME\r\n";
        await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "ü@x.example", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal([RecipientOutcome.Deferred, RecipientOutcome.Delivered], ended.Results.Select(result => result.Outcome));
        Assert.Single(_peer.Messages);
    }

    [Fact]
    public async Task A_message_larger_than_the_next_hop_takes_is_not_sent()
    {
        _peer.Ehlo = "250-peer.example\r\n250 SIZE 1000\r\n";
        await StartAsync();
        var id = _queue.Enqueue(Body + new string('x', 1000) + "\r\n", "a@us.example", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>(end => end.Id == id);
        Assert.Equal("5.3.4", ended.Results[0].EnhancedCode);
        Assert.DoesNotContain(_peer.TakeLines(), line => line.StartsWith("MAIL FROM:<a", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_body_with_a_bare_line_end_is_never_sent()
    {
        await StartAsync();
        var id = _queue.Enqueue("Subject: x\r\n\r\na\n.\nMAIL FROM:<evil@x>\r\n", "a@us.example", "b@x.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>(end => end.Id == id);
        Assert.Equal("5.6.11", ended.Results[0].EnhancedCode);
        Assert.DoesNotContain(_peer.Messages, message => message.Contains("evil", StringComparison.Ordinal) && !message.Contains("MAILER-DAEMON", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_missing_body_is_deferred_and_nothing_is_sent()
    {
        var id = _queue.Enqueue(Body, "a@us.example", "b@x.example");
        Assert.True(_queue.Bodies.TryRemove(id, out _));
        await StartAsync();
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Deferred, ended.Results[0].Outcome);
        Assert.Equal("no such body", ended.Results[0].Reply);
        Assert.Empty(_peer.Messages);
    }

    [Fact]
    public async Task Local_recipients_get_their_files_without_a_started_attempt()
    {
        await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "alice@local.example", "alice.b@local.example", "Bob@local.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.All(ended.Results, result => Assert.Equal(RecipientOutcome.Delivered, result.Outcome));
        Assert.Equal(2, Directory.GetFiles(Path.Combine(_folder, "alice", "new")).Length);
        Assert.Single(Directory.GetFiles(Path.Combine(_folder, "bob@local.example", "new")));
    }

    [Fact]
    public async Task What_another_node_has_filed_and_the_reader_has_moved_is_not_filed_again_when_it_is_taken_over()
    {
        await StartAsync();
        await _queue.ProposeAsync(new NodesChangedCommand([new BodyHolder("n1", 1), new BodyHolder("n2", 1)], 1, 60_000, 1), TestContext.Current.CancellationToken);
        _queue.ClusterTime += 1000;
        var id = _queue.Enqueue(Body, new Envelope("a@us.example", [new EnvelopeRecipient("alice@local.example")]), owner: "n2");
        var file = Path.Combine(Directory.CreateDirectory(Path.Combine(_folder, "alice", "cur")).FullName, $"{MaildirFormat.FileName(id, 0)}:2,S");
        await File.WriteAllTextAsync(file, "filed by n2", TestContext.Current.CancellationToken);
        await _queue.ProposeAsync(new NodeDownCommand("n2", 1), TestContext.Current.CancellationToken);
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal((id, RecipientOutcome.Delivered), (ended.Id, ended.Results[0].Outcome));
        Assert.Equal([file], Directory.GetFiles(_folder, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task A_mailbox_that_cannot_be_written_defers()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "alice"), "no folder", TestContext.Current.CancellationToken);
        await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "alice@local.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Deferred, ended.Results[0].Outcome);
    }

    [Fact]
    public async Task Discarded_mail_is_delivered_to_nobody()
    {
        await StartAsync();
        var id = _queue.Enqueue(Body, "a@us.example", "x@nowhere.example");
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Delivered, ended.Results[0].Outcome);
        Assert.Null(_queue.Find(id));
        Assert.Equal(0, _peer.Connections);
    }

    [Fact]
    public async Task A_deferred_message_is_tried_again_when_its_time_has_come()
    {
        var time = new FakeTimeProvider();
        var refusals = 1;
        _peer.Script = line => line.StartsWith("RCPT", StringComparison.Ordinal) && refusals-- > 0 ? "450 4.2.1 later\r\n" : null;
        await StartAsync(time: time);
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        var first = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.Deferred, first.Results[0].Outcome);
        var waiting = _queue.NextAsync<AttemptEndedCommand>();
        while (!waiting.IsCompleted)
        {
            _queue.ClusterTime += 70_000;
            time.Advance(TimeSpan.FromSeconds(70));
            await Task.WhenAny(waiting, Task.Delay(20, TestContext.Current.CancellationToken));
        }

        var second = await waiting;
        Assert.Equal(RecipientOutcome.Delivered, second.Results[0].Outcome);
        Assert.Equal(2, second.Attempt);
    }

    [Fact]
    public async Task Stopping_finishes_what_is_in_flight_and_takes_nothing_new()
    {
        var commit = new TaskCompletionSource();
        _queue.Delay = command => command is AttemptStartedCommand ? commit.Task : Task.CompletedTask;
        var service = await StartAsync(concurrency: 1);
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        var waits = _queue.Enqueue(Body, "a@us.example", "c@x.example");
        while (await _peer.Lines.ReadAsync(TestContext.Current.CancellationToken) != "DATA")
        {
        }

        var stopping = service.StopAsync(TestContext.Current.CancellationToken);
        commit.SetResult();
        await stopping;
        Assert.Single(_peer.Messages);
        Assert.Equal(waits, Assert.Single(_queue.Messages).Id);
    }

    [Fact]
    public async Task Stopping_cuts_off_what_does_not_end_and_records_it()
    {
        _peer.AfterDot = _ => "";
        var service = await StartAsync();
        _queue.Enqueue(Body, "a@us.example", "b@x.example");
        SpinWait.SpinUntil(() => _peer.Messages.Count == 1, TimeSpan.FromSeconds(20));
        using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        await service.StopAsync(patience.Token);
        Assert.Single(_queue.Suspects);
        var ended = await _queue.NextAsync<AttemptEndedCommand>();
        Assert.Equal(RecipientOutcome.InDoubt, ended.Results[0].Outcome);
    }
}
