using System.Buffers;

namespace Quorumail.Core.Cluster;

/// <summary>Frame type 4: the answer to an <see cref="Election"/> (the guide's "Vote", with the term).</summary>
/// <param name="VoterId">Who answers.</param>
/// <param name="CandidateId">Who asked.</param>
/// <param name="IsGranted">Whether it has the vote.</param>
/// <param name="Term">The voter's term.</param>
/// <param name="Request">The number of the <see cref="Election"/>.</param>
/// <param name="Incarnation">Which disk of the voter answers.</param>
public sealed record Vote(string VoterId, string CandidateId, bool IsGranted, long Term, long Request, int Incarnation)
{
    /// <summary>The message, or null if it isn't one.</summary>
    public static Vote? Read(ReadOnlySpan<byte> json) => JsonFields.Read<Vote>(json, ReadFields);

    /// <summary>The message as JSON.</summary>
    public void Write(IBufferWriter<byte> target) => JsonFields.Write(target, this, static (json, message) =>
    {
        json.WriteString("voter_id"u8, message.VoterId);
        json.WriteString("candidate_id"u8, message.CandidateId);
        json.WriteBoolean("granted"u8, message.IsGranted);
        json.WriteNumber("term"u8, message.Term);
        json.WriteNumber("request"u8, message.Request);
        json.WriteNumber("incarnation"u8, message.Incarnation);
    });

    private static Vote? ReadFields(ref JsonFields fields)
    {
        var (voter, candidate, isGranted, term, request, incarnation) = ("", "", false, 0L, 0L, 0);
        while (fields.Next())
        {
            if (fields.Is("voter_id"u8, 0))
            {
                voter = fields.Name();
            }
            else if (fields.Is("candidate_id"u8, 1))
            {
                candidate = fields.Name();
            }
            else if (fields.Is("granted"u8, 2))
            {
                isGranted = fields.Flag();
            }
            else if (fields.Is("term"u8, 3))
            {
                term = fields.Count();
            }
            else if (fields.Is("request"u8, 4))
            {
                request = fields.Integer();
            }
            else if (fields.Is("incarnation"u8, 5))
            {
                incarnation = fields.SmallCount();
            }
            else
            {
                fields.Skip();
            }
        }

        return voter.Length > 0 && candidate.Length > 0 && fields.Has(2) && fields.Has(3)
            ? new Vote(voter, candidate, isGranted, term, request, incarnation)
            : null;
    }
}
