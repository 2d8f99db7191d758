using Microsoft.Extensions.Logging;
using Quorumail.Core.Delivery;
using Quorumail.Server.Configuration;
using Quorumail.Server.Delivery.Dns;

namespace Quorumail.Server.Delivery.Transport;

/// <summary>What became of the destination as a whole, for the scheduler.</summary>
internal enum Reach
{
    /// <summary>Nothing was learned.</summary>
    Unknown = 0,

    /// <summary>A session was ready for mail.</summary>
    Reached = 1,

    /// <summary>No address gave one.</summary>
    Unreachable = 2,
}

/// <summary>
/// Delivers by SMTP and LMTP: on an idle connection, else at one address after the other until a session takes the transaction. What
/// the attempt is not told here counts as not completed, or in doubt if its dot was sent.
/// </summary>
internal sealed class SmtpTransport(
    MxResolver resolver,
    SmtpConnector connector,
    ConnectionPool pool,
    EightBitConverter converter,
    IDeliveryQueue queue,
    EightBitDowngrade downgrade,
    ILogger mailLog)
{
    /// <summary>Makes the attempt.</summary>
    /// <param name="attempt">Gets its replies here.</param>
    /// <param name="start">Begun when a session can take the transaction.</param>
    /// <param name="kept">A connection to the same next hop from a job before, or null; owned from here on.</param>
    /// <param name="abort">Ends everything at once.</param>
    /// <returns>A connection that can be used again, owned by the caller, and what was learned of the destination.</returns>
    public async Task<(SmtpConnection? Connection, Reach Reach, DeliveryReply? Why)> DeliverAsync(
        DeliveryAttempt attempt, AttemptStart start, SmtpConnection? kept, CancellationToken abort)
    {
        var hop = NextHop.Of(attempt.Job.Destination);
        var transaction = new SmtpAttempt(attempt, start, converter, queue, downgrade, mailLog);
        kept ??= pool.TryTake(hop);
        if (kept is not null)
        {
            var end = await RunAsync(transaction, kept, abort);
            if (end == AttemptEnd.Settled)
            {
                return (Keep(hop, kept), Reach.Reached, null);
            }

            pool.Return(hop, kept);
        }

        if (transaction.IsSettled)
        {
            return (null, Reach.Unknown, null);
        }

        var resolution = await resolver.ResolveAsync(hop, abort);
        if (resolution.Targets.Count == 0)
        {
            var verdict = resolution.IsPermanent ? DeliveryVerdict.Permanent : DeliveryVerdict.Temporary;
            var reply = new DeliveryReply(verdict, resolution.Reason, resolution.EnhancedCode, "");
            transaction.SettleRest(reply);
            return (null, resolution.IsPermanent ? Reach.Unknown : Reach.Unreachable, reply);
        }

        return await TryTargetsAsync(hop, resolution.Targets, transaction, abort);
    }

    private async Task<(SmtpConnection? Connection, Reach Reach, DeliveryReply? Why)> TryTargetsAsync(
        NextHop hop, IReadOnlyList<DeliveryTarget> targets, SmtpAttempt transaction, CancellationToken abort)
    {
        DeliveryReply? temporary = null;
        DeliveryReply? permanent = null;
        var reach = Reach.Unreachable;
        foreach (var target in targets)
        {
            var (connection, failure) = await connector.ConnectAsync(hop, target, abort);
            if (connection is null)
            {
                var reply = new DeliveryReply(
                    failure!.IsPermanent ? DeliveryVerdict.Permanent : DeliveryVerdict.Temporary,
                    failure.Reason, failure.EnhancedCode, target.ToString());
                temporary = failure.IsPermanent ? temporary : reply;
                permanent = failure.IsPermanent ? reply : permanent;
                if (abort.IsCancellationRequested)
                {
                    break;
                }

                continue;
            }

            reach = Reach.Reached;
            switch (await RunAsync(transaction, connection, abort))
            {
                case AttemptEnd.Settled:
                    return (Keep(hop, connection), reach, null);
                case AttemptEnd.NeedsSmtpUtf8:
                    permanent = transaction.Last;
                    break;
                default:
                    temporary = transaction.Last;
                    break;
            }

            pool.Return(hop, connection);
        }

        var why = temporary ?? permanent!;
        transaction.SettleRest(why);
        return (null, temporary is null && reach == Reach.Unreachable ? Reach.Unknown : reach, why);
    }

    /// <summary>A connection is never lost to an exception on the way.</summary>
    private static async Task<AttemptEnd> RunAsync(SmtpAttempt transaction, SmtpConnection connection, CancellationToken abort)
    {
        try
        {
            return await transaction.RunAsync(connection, abort);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private SmtpConnection? Keep(NextHop hop, SmtpConnection connection)
    {
        if (connection.Session.IsReusable && connection.Transactions < ConnectionPool.TransactionsMax)
        {
            return connection;
        }

        pool.Return(hop, connection);
        return null;
    }
}

/// <summary>How a transaction on one connection ended for the attempt.</summary>
internal enum AttemptEnd
{
    /// <summary>Every recipient has its reply.</summary>
    Settled = 0,

    /// <summary>The connection ended before the dot: another address may do better.</summary>
    Lost = 1,

    /// <summary>Another exchanger may have SMTPUTF8.</summary>
    NeedsSmtpUtf8 = 2,
}
