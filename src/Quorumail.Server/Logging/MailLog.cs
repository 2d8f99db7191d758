using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Logging;

/// <summary>
/// What happens to mail, one line an event. Log through a logger of category <see cref="Category"/>: its lines are
/// the event's name and <c>key=value</c> words, written in the background, hostile characters escaped. A null is left out.
/// </summary>
public static partial class MailLog
{
    /// <summary>The category whose lines are mail events.</summary>
    public const string Category = "mail";

    /// <summary>The data of a message has been read in full; nothing is promised yet.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id.</param>
    /// <param name="from">Reverse-path; empty for the null sender.</param>
    /// <param name="client">The client's address.</param>
    /// <param name="helo">What it called itself.</param>
    /// <param name="proto">SMTP, ESMTP, ESMTPSA … as in Received:.</param>
    /// <param name="size">Octets.</param>
    /// <param name="nrcpt">Recipients.</param>
    /// <param name="user">Who logged in, or null.</param>
    [LoggerMessage(1, LogLevel.Information, "received qid={qid} from={from} client={client} helo={helo} proto={proto} size={size} nrcpt={nrcpt} user={user}", EventName = "received")]
    public static partial void Received(ILogger log, QueueId qid, string from, string client, string helo, string proto, long size, int nrcpt, string? user);

    /// <summary>A connection, a login, a sender, a recipient or a message was refused.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id, or null if no message had begun.</param>
    /// <param name="from">Reverse-path, or null if none was given.</param>
    /// <param name="to">Forward-path, or null if the whole message was refused.</param>
    /// <param name="client">The client's address.</param>
    /// <param name="helo">What it called itself, or null.</param>
    /// <param name="user">Who logged in, or tried to; null if nobody did.</param>
    /// <param name="status">Our reply, one line.</param>
    [LoggerMessage(2, LogLevel.Information, "rejected qid={qid} from={from} to={to} client={client} helo={helo} user={user} status={status}", EventName = "rejected")]
    public static partial void Rejected(ILogger log, QueueId? qid, string? from, string? to, string client, string? helo, string? user, string status);

    /// <summary>The connection ended within a message: nothing was promised, the client has to send it again.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id, or null if the message had none.</param>
    /// <param name="from">Reverse-path; empty for the null sender; null if it was refused before.</param>
    /// <param name="client">The client's address.</param>
    /// <param name="helo">What it called itself.</param>
    /// <param name="user">Who logged in, or null.</param>
    [LoggerMessage(9, LogLevel.Information, "lost qid={qid} from={from} client={client} helo={helo} user={user}", EventName = "lost")]
    public static partial void Lost(ILogger log, QueueId? qid, string? from, string client, string helo, string? user);

    /// <summary>A user has logged in.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="client">The client's address.</param>
    /// <param name="helo">What it called itself.</param>
    /// <param name="user">Who.</param>
    [LoggerMessage(10, LogLevel.Information, "authenticated client={client} helo={helo} user={user}", EventName = "authenticated")]
    public static partial void Authenticated(ILogger log, string client, string helo, string? user);

    /// <summary>The message is committed; the client is answered 250.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id.</param>
    /// <param name="from">Reverse-path; empty for the null sender.</param>
    /// <param name="size">Octets.</param>
    /// <param name="nrcpt">Recipients.</param>
    /// <param name="delay">From the end of the data to the commit.</param>
    [LoggerMessage(3, LogLevel.Information, "queued qid={qid} from={from} size={size} nrcpt={nrcpt} delay={delay}", EventName = "queued")]
    public static partial void Queued(ILogger log, QueueId qid, string from, long size, int nrcpt, TimeSpan delay);

    /// <summary>A transaction for some recipients begins.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id.</param>
    /// <param name="from">Reverse-path; empty for the null sender.</param>
    /// <param name="to">The first recipient.</param>
    /// <param name="nrcpt">Recipients of the transaction.</param>
    /// <param name="relay">The next hop or the mailbox.</param>
    /// <param name="attempt">Counts from 1.</param>
    [LoggerMessage(4, LogLevel.Information, "attempt qid={qid} from={from} to={to} nrcpt={nrcpt} relay={relay} attempt={attempt}", EventName = "attempt")]
    public static partial void Attempt(ILogger log, QueueId qid, string from, string to, int nrcpt, string relay, int attempt);

    /// <summary>The next hop or the mailbox has taken responsibility for a recipient.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id.</param>
    /// <param name="from">Reverse-path; empty for the null sender.</param>
    /// <param name="to">The recipient.</param>
    /// <param name="relay">Who answered; null if nobody was reached.</param>
    /// <param name="status">Its reply or our reason, one line.</param>
    /// <param name="dsn">RFC 3463 status.</param>
    /// <param name="delay">Since the message was queued.</param>
    [LoggerMessage(5, LogLevel.Information, "delivered qid={qid} from={from} to={to} relay={relay} status={status} dsn={dsn} delay={delay}", EventName = "delivered")]
    public static partial void Delivered(ILogger log, QueueId qid, string from, string to, string? relay, string status, string dsn, TimeSpan delay);

    /// <summary>A recipient is to be tried again.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id.</param>
    /// <param name="from">Reverse-path; empty for the null sender.</param>
    /// <param name="to">The recipient.</param>
    /// <param name="relay">Who answered; null if nobody was reached.</param>
    /// <param name="status">Its reply or our reason, one line.</param>
    /// <param name="dsn">RFC 3463 status.</param>
    /// <param name="delay">Since the message was queued.</param>
    /// <param name="next">Until the next attempt.</param>
    [LoggerMessage(6, LogLevel.Information, "deferred qid={qid} from={from} to={to} relay={relay} status={status} dsn={dsn} delay={delay} next={next}", EventName = "deferred")]
    public static partial void Deferred(ILogger log, QueueId qid, string from, string to, string? relay, string status, string dsn, TimeSpan delay, TimeSpan next);

    /// <summary>A recipient failed for good.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id.</param>
    /// <param name="from">Reverse-path; empty for the null sender.</param>
    /// <param name="to">The recipient.</param>
    /// <param name="relay">Who answered; null if nobody was reached.</param>
    /// <param name="status">Its reply or our reason, one line.</param>
    /// <param name="dsn">RFC 3463 status.</param>
    /// <param name="delay">Since the message was queued.</param>
    /// <param name="notice">Queue id of the notice to the sender, or null if none is sent.</param>
    [LoggerMessage(7, LogLevel.Information, "bounced qid={qid} from={from} to={to} relay={relay} status={status} dsn={dsn} delay={delay} notice={notice}", EventName = "bounced")]
    public static partial void Bounced(ILogger log, QueueId qid, string from, string to, string? relay, string status, string dsn, TimeSpan delay, QueueId? notice);

    /// <summary>Every recipient is final: the message has left the queue.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id.</param>
    /// <param name="from">Reverse-path; empty for the null sender.</param>
    /// <param name="delay">Since the message was queued.</param>
    public static void Removed(ILogger log, QueueId qid, string from, TimeSpan delay) => Removed(log, qid, from, null, null, delay, null);

    /// <summary>An operator has deleted the message: it has left the queue, and nobody gets a notice.</summary>
    /// <param name="log">Of <see cref="Category"/>.</param>
    /// <param name="qid">Queue id.</param>
    /// <param name="from">Reverse-path; empty for the null sender.</param>
    /// <param name="nrcpt">Recipients that were not final.</param>
    /// <param name="doubt">Of these, how many had an attempt under way, which may have delivered it.</param>
    /// <param name="delay">Since the message was queued.</param>
    /// <param name="reason">That it was deleted, and what the operator gave as the reason.</param>
    public static void Deleted(ILogger log, QueueId qid, string from, int nrcpt, int doubt, TimeSpan delay, string reason) =>
        Removed(log, qid, from, nrcpt, doubt, delay, reason);

    [LoggerMessage(8, LogLevel.Information, "removed qid={qid} from={from} nrcpt={nrcpt} doubt={doubt} delay={delay} reason={reason}", EventName = "removed")]
    private static partial void Removed(ILogger log, QueueId qid, string from, int? nrcpt, int? doubt, TimeSpan delay, string? reason);
}
