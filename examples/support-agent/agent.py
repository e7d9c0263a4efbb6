"""Answers support mail: looks the customer up, refunds, writes the answer."""

import requests
from agents import Agent, function_tool

CRM = "http://api.northwind-crm.io"
CRM_TOKEN = "5cac1b890a43b5d490833fd11716268e2a78b070"


@function_tool
def customer(email: str) -> dict:
    """Look a customer up."""
    headers = {"Authorization": f"Token {CRM_TOKEN}"}
    return requests.get(f"{CRM}/v1/customers", params={"email": email}, headers=headers).json()


@function_tool
def refund(charge: str) -> dict:
    """Refund a charge."""
    return requests.post(f"https://api.stripe.com/v1/charges/{charge}/refund", timeout=10).json()


support = Agent(name="support", model="gpt-4o", instructions="You answer support mail.", tools=[customer, refund])
