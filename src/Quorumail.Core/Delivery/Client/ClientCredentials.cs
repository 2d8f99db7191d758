namespace Quorumail.Core.Delivery.Client;

/// <summary>A user name and a password for a smarthost. Not a record, so that no log line prints it by accident.</summary>
public sealed class ClientCredentials(string userName, string password)
{
    public string UserName { get; } = userName;

    public string Password { get; } = password;

    public override string ToString() => UserName;
}
