using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.Server.Torture.Load;

/// <summary>
/// Several sessions that send random messages, one after the other, and write down what the server answered to each. A session
/// whose connection breaks connects again; a message whose answer was not read is never sent again under the same id.
/// </summary>
internal sealed class LoadClient(LoadPlan plan)
{
    private static readonly TimeSpan ReconnectPause = TimeSpan.FromMilliseconds(50);

    private readonly ConcurrentQueue<SentMessage> _sent = new();
    private long _acknowledged;
    private long _started;

    /// <summary>Messages that were answered 250 so far.</summary>
    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    /// <summary>Every message that was begun and what came of it.</summary>
    public IReadOnlyCollection<SentMessage> Sent => _sent;

    /// <summary>Runs all sessions until the plan is fulfilled or <paramref name="stop"/> is signalled; a message under way is finished first.</summary>
    public Task RunAsync(CancellationToken stop, CancellationToken token) =>
        Task.WhenAll(Enumerable.Range(0, plan.Sessions).Select(index => RunSessionAsync(index, stop, token)));

    /// <summary>Waits until <paramref name="count"/> messages have been answered 250.</summary>
    public Task UntilAcknowledgedAsync(long count, TimeSpan limit, CancellationToken token) => Deadline.UntilAsync(
        () => Acknowledged >= count, limit, () => $"{Acknowledged} of {count} messages were acknowledged", token);

    private async Task RunSessionAsync(int index, CancellationToken stop, CancellationToken token)
    {
        var random = new Random(HashCode.Combine(plan.Seed, index));
        var pace = new Pace(plan, index);
        while (MayGoOn(stop))
        {
            try
            {
                using var conversation = await SmtpConversation.ConnectAsync(plan, token);
                var greeting = await conversation.ReadReplyAsync(token);
                if (greeting.Code == 220 && (await conversation.AskAsync("EHLO load.example", token)).Code == 250)
                {
                    await SendMessagesAsync(conversation, random, pace, stop, token);
                    continue;
                }
            }
            catch (Exception e) when (e is SocketException or IOException || (e is TimeoutException && plan.Patience is not null))
            {
                // The server was killed or is not back yet.
            }

            await Task.Delay(ReconnectPause, token);
        }
    }

    private bool MayGoOn(CancellationToken stop) =>
        !stop.IsCancellationRequested && (plan.Messages == 0 || Interlocked.Read(ref _started) < plan.Messages);

    private async Task SendMessagesAsync(SmtpConversation conversation, Random random, Pace pace, CancellationToken stop, CancellationToken token)
    {
        while (MayGoOn(stop) && await pace.NextAsync(stop))
        {
            var number = Interlocked.Increment(ref _started);
            var id = string.Create(CultureInfo.InvariantCulture, $"{plan.Name}-{number}");
            var message = TestMessage.Random(id, plan.DrawSize(random), random);
            var recipients = Enumerable.Range(0, random.Next(1, plan.MaximumRecipients + 1)).Select(plan.Recipient).ToArray();
            var called = Stopwatch.GetTimestamp();
            var sent = new SentMessage(id, recipients, SendOutcome.Unknown, "") { Called = called };
            try
            {
                sent = await SendOneAsync(conversation, message, sent, plan.UsesChunking && random.Next(4) == 0, token);
            }
            finally
            {
                _sent.Enqueue(sent with { Returned = Stopwatch.GetTimestamp() });
            }

            if (sent.Outcome == SendOutcome.Acknowledged)
            {
                Interlocked.Increment(ref _acknowledged);
            }
            else if (sent.Reply.StartsWith("421", StringComparison.Ordinal) || (await conversation.AskAsync("RSET", token)).Code != 250)
            {
                return;
            }
        }

        await conversation.AskAsync("QUIT", token);
    }

    // One transaction; the answer is for the recipients that were accepted.
    private async Task<SentMessage> SendOneAsync(
        SmtpConversation conversation, TestMessage message, SentMessage sent, bool chunked, CancellationToken token)
    {
        // Everything up to the data goes in one packet, as pipelining clients send it.
        var commands = new StringBuilder($"MAIL FROM:<{plan.Sender}> BODY=8BITMIME\r\n");
        foreach (var recipient in sent.Recipients)
        {
            commands.Append(CultureInfo.InvariantCulture, $"RCPT TO:<{recipient}>\r\n");
        }

        if (!chunked)
        {
            commands.Append("DATA\r\n");
        }

        await conversation.SendAsync(Encoding.ASCII.GetBytes(commands.ToString()), token);
        var replies = new SmtpReply[1 + sent.Recipients.Count + (chunked ? 0 : 1)];
        for (var i = 0; i < replies.Length; i++)
        {
            replies[i] = await conversation.ReadReplyAsync(token);
            if (replies[i].Code == 421)
            {
                return Ended(sent, replies[i]) with { Stage = StageOf(i, sent) };
            }
        }

        string[] accepted = [.. sent.Recipients.Where((_, i) => replies[0].IsPositive && replies[i + 1].IsPositive)];
        var isAwaited = chunked || replies[^1].Code == 354;
        if (accepted.Length > 0 && isAwaited)
        {
            return await SendContentAsync(conversation, message, sent with { Recipients = accepted }, chunked, token);
        }

        var deciding = Array.FindIndex(replies, reply => !reply.IsPositive) is >= 0 and var first ? first : replies.Length - 1;
        return isAwaited && !chunked
            ? throw new InvalidDataException($"354 after {replies[deciding]}: there is nobody to send to.")
            : sent with { Outcome = SendOutcome.Refused, Reply = replies[deciding].ToString(), Stage = StageOf(deciding, sent) };
    }

    private static async Task<SentMessage> SendContentAsync(
        SmtpConversation conversation, TestMessage message, SentMessage sent, bool chunked, CancellationToken token)
    {
        if (!chunked)
        {
            await conversation.SendAsync(Dots.Stuff(message.Content), token);
            return Ended(sent, await conversation.ReadReplyAsync(token));
        }

        var half = message.Content.Length / 2;
        await conversation.SendLineAsync(string.Create(CultureInfo.InvariantCulture, $"BDAT {half}"), token);
        await conversation.SendAsync(message.Content.AsMemory(0, half), token);
        var first = await conversation.ReadReplyAsync(token);
        if (first.Code != 250)
        {
            return Ended(sent, first);
        }

        await conversation.SendLineAsync(string.Create(CultureInfo.InvariantCulture, $"BDAT {message.Content.Length - half} LAST"), token);
        await conversation.SendAsync(message.Content.AsMemory(half), token);
        return Ended(sent, await conversation.ReadReplyAsync(token));
    }

    // Of the replies to what goes before the content.
    private static SendStage StageOf(int reply, SentMessage sent) =>
        reply == 0 ? SendStage.Mail : reply <= sent.Recipients.Count ? SendStage.Recipient : SendStage.Data;

    private static SentMessage Ended(SentMessage sent, SmtpReply reply) => sent with
    {
        Stage = SendStage.Content,
        Outcome = reply.Code switch
        {
            250 => SendOutcome.Acknowledged,
            451 => SendOutcome.Deferred,
            _ => SendOutcome.Refused,
        },
        Reply = reply.ToString(),
    };

    /// <summary>When a session's next message is due.</summary>
    private sealed class Pace(LoadPlan plan, int index)
    {
        private readonly long _began = Stopwatch.GetTimestamp();
        private long _count;

        // False once the client is told to stop.
        public async Task<bool> NextAsync(CancellationToken stop)
        {
            if (plan.Rate > 0)
            {
                var due = TimeSpan.FromSeconds((index + ((double)plan.Sessions * _count++)) / plan.Rate) - Stopwatch.GetElapsedTime(_began);
                if (due > TimeSpan.Zero)
                {
                    await Task.WhenAny(Task.Delay(due, stop));
                }
            }

            return !stop.IsCancellationRequested;
        }
    }
}
