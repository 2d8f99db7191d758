using Microsoft.Extensions.Logging;
using Quorumail.Core.Delivery;
using Quorumail.Core.Delivery.Client;
using Quorumail.Server.Configuration;
using Quorumail.Server.Delivery.Dns;
using Quorumail.Server.Limits;

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

    /// <summary>A limit of the cluster does not let the attempt through now; nothing was tried.</summary>
    HeldBack = 3,
}

/// <summary>How an attempt by SMTP ended.</summary>
/// <param name="Connection">Can be used again; owned by the caller.</param>
/// <param name="Reach">What was learned of the destination.</param>
/// <param name="Why">Why it is unreachable.</param>
/// <param name="HeldUntil">When it makes sense to try again, in milliseconds of cluster time, if it is held back.</param>
/// <param name="IsLetThrough">A limit has let it through.</param>
internal readonly record struct TransportResult(
    SmtpConnection? Connection, Reach Reach, DeliveryReply? Why = null, long HeldUntil = 0, bool IsLetThrough = false);

/// <summary>
/// Delivers by SMTP and LMTP: on an idle connection, else at one address after the other until a session takes the transaction. What
/// the attempt is not told here counts as not completed, or in doubt if its dot was sent.
/// </summary>
internal sealed class SmtpTransport(
    MxResolver resolver,
    SmtpConnector connector,
    DestinationLimits limits,
    ConnectionPool pool,
    EightBitConverter converter,
    IDeliveryQueue queue,
    EightBitDowngrade downgrade,
    TimeProvider time,
    ILogger mailLog)
{
    /// <summary>Makes the attempt.</summary>
    /// <param name="attempt">Gets its replies here.</param>
    /// <param name="start">Begun when a session can take the transaction.</param>
    /// <param name="kept">A connection to the same next hop from a job before, or null; owned from here on.</param>
    /// <param name="abort">Ends everything at once.</param>
    public async Task<TransportResult> DeliverAsync(DeliveryAttempt attempt, AttemptStart start, SmtpConnection? kept, CancellationToken abort)
    {
        var hop = NextHop.Of(attempt.Job.Destination);
        var permit = await limits.TakeAsync(attempt.Job.Destination, abort);
        if (permit.HeldUntil > 0)
        {
            if (kept is not null)
            {
                pool.Return(hop, kept);
            }

            return new TransportResult(null, Reach.HeldBack, HeldUntil: permit.HeldUntil);
        }

        var transaction = new SmtpAttempt(attempt, start, converter, queue, downgrade, mailLog);
        var result = await DeliverAsync(attempt.Job.Destination, hop, transaction, kept, abort);
        if (!transaction.IsBegun)
        {
            limits.PutBack(permit);
        }

        return result with { IsLetThrough = result.IsLetThrough || (permit.IsTaken && !limits.HasSlots(attempt.Job.Destination)) };
    }

    private async Task<TransportResult> DeliverAsync(
        Destination destination, NextHop hop, SmtpAttempt transaction, SmtpConnection? kept, CancellationToken abort)
    {
        kept ??= pool.TryTake(hop);
        if (kept is not null)
        {
            var end = await RunAsync(transaction, kept, abort);
            if (end == AttemptEnd.Settled)
            {
                return new TransportResult(Keep(hop, kept), Reach.Reached);
            }

            pool.Return(hop, kept);
        }

        if (transaction.IsSettled)
        {
            return new TransportResult(null, Reach.Unknown);
        }

        var resolution = await resolver.ResolveAsync(hop, abort);
        if (resolution.Targets.Count == 0)
        {
            var verdict = resolution.IsPermanent ? DeliveryVerdict.Permanent : DeliveryVerdict.Temporary;
            var reply = new DeliveryReply(verdict, resolution.Reason, resolution.EnhancedCode, "");
            transaction.SettleRest(reply);
            return new TransportResult(null, resolution.IsPermanent ? Reach.Unknown : Reach.Unreachable, reply);
        }

        return await TryTargetsAsync(destination, hop, resolution.Targets, transaction, abort);
    }

    private async Task<TransportResult> TryTargetsAsync(
        Destination destination, NextHop hop, IReadOnlyList<DeliveryTarget> targets, SmtpAttempt transaction, CancellationToken abort)
    {
        DeliveryReply? temporary = null;
        DeliveryReply? permanent = null;
        var reach = Reach.Unreachable;
        ConnectionSlot? slot = null;
        var isUnseen = false;
        var isLetThrough = false;
        try
        {
            foreach (var target in targets)
            {
                if (slot is null)
                {
                    (slot, var until) = await limits.OpenAsync(destination, abort);
                    if (until > 0)
                    {
                        if (!transaction.IsBegun && temporary is null && permanent is null)
                        {
                            return new TransportResult(null, Reach.HeldBack, HeldUntil: until);
                        }

                        temporary ??= permanent is null ? transaction.Last : null;
                        break;
                    }
                }

                isLetThrough |= slot is not null;
                var (connection, failure) = await ConnectAsync(hop, target, slot, isUnseen, abort);
                if (connection is null)
                {
                    isUnseen = failure!.Stage != ClientStage.Connect || abort.IsCancellationRequested;
                    var reply = new DeliveryReply(
                        failure.IsPermanent ? DeliveryVerdict.Permanent : DeliveryVerdict.Temporary,
                        failure.Reason, failure.EnhancedCode, target.ToString());
                    temporary = failure.IsPermanent ? temporary : reply;
                    permanent = failure.IsPermanent ? reply : permanent;
                    if (abort.IsCancellationRequested)
                    {
                        break;
                    }

                    continue;
                }

                // It is the connection's from here on.
                (slot, isUnseen) = (null, false);
                reach = Reach.Reached;
                switch (await RunAsync(transaction, connection, abort))
                {
                    case AttemptEnd.Settled:
                        return new TransportResult(Keep(hop, connection), reach, IsLetThrough: isLetThrough);
                    case AttemptEnd.NeedsSmtpUtf8:
                        permanent = transaction.Last;
                        break;
                    default:
                        temporary = transaction.Last;
                        break;
                }

                pool.Return(hop, connection);
            }
        }
        finally
        {
            slot?.Close(!isUnseen);
        }

        var why = temporary ?? permanent!;
        transaction.SettleRest(why);
        return new TransportResult(null, temporary is null && reach == Reach.Unreachable ? Reach.Unknown : reach, why, IsLetThrough: isLetThrough);
    }

    /// <summary>Connects to an address. One that is tried after another may lead to the same server, which still counts the connection that has failed.</summary>
    private async Task<ConnectResult> ConnectAsync(NextHop hop, DeliveryTarget target, ConnectionSlot? slot, bool isUnseen, CancellationToken abort)
    {
        if (slot is not null && isUnseen)
        {
            try
            {
                await Task.Delay(ConnectionSlot.UnseenTime, time, abort);
            }
            catch (OperationCanceledException)
            {
                return new ConnectResult(null, new ClientFailure(ClientStage.Connect, "4.4.1", "connecting was stopped", IsPermanent: false));
            }
        }

        return await connector.ConnectAsync(hop, target, slot, abort);
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
        if (connection.Session.IsReusable && !connection.IsSpent)
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
