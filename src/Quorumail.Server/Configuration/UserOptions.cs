namespace Quorumail.Server.Configuration;

/// <summary><c>[[users]]</c>: someone who has a mailbox here and may submit mail.</summary>
public sealed record UserOptions
{
    /// <summary>The login name and the Maildir's name.</summary>
    [ConfigKey(IsRequired = true)]
    public string Name { get; init; } = "";

    /// <summary>What <c>smtp-server password</c> printed. Empty: the user can't log in.</summary>
    [ConfigKey(IsSecret = true)]
    public string PasswordHash { get; init; } = "";

    /// <summary>Addresses whose mail goes to this mailbox and that the user may send from. Default: the name at every local domain.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];
}
